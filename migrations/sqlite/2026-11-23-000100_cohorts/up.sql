-- Keys with a name, which several rollouts use; and what the keys of a ramp group are.
CREATE TABLE cohorts (
    name        TEXT      NOT NULL PRIMARY KEY,
    keys        TEXT      NOT NULL,
    description TEXT      NOT NULL,
    revision    BIGINT    NOT NULL,
    changed_at  TIMESTAMP NOT NULL
);

CREATE TABLE ramp_groups (
    name        TEXT NOT NULL PRIMARY KEY,
    keys        TEXT NOT NULL,
    description TEXT NOT NULL
);

ALTER TABLE rollouts ADD COLUMN uses TEXT;
