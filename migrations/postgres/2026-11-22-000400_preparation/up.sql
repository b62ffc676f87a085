-- What a route goes through before it is ready. Those that are there already are.
ALTER TABLE routes ADD COLUMN preparation TEXT;
ALTER TABLE routes ADD COLUMN phase TEXT NOT NULL DEFAULT 'ready';
ALTER TABLE routes ADD COLUMN priority INTEGER;
ALTER TABLE routes ADD COLUMN schedule TEXT NOT NULL DEFAULT '{}';

CREATE TABLE runbooks (
    route  TEXT      NOT NULL PRIMARY KEY REFERENCES routes (key),
    text   TEXT      NOT NULL,
    put_by TEXT      NOT NULL,
    put_at TIMESTAMP NOT NULL
);

CREATE TABLE externals (
    route       TEXT NOT NULL REFERENCES routes (key),
    name        TEXT NOT NULL,
    owner       TEXT NOT NULL,
    description TEXT NOT NULL,
    stage       TEXT CHECK (stage IN ('opt_in', 'opt_out', 'mandatory')),
    confirmed   TEXT,
    PRIMARY KEY (route, name)
);

CREATE TABLE stage_history (
    route       TEXT      NOT NULL,
    environment TEXT      NOT NULL,
    revision    BIGINT    NOT NULL,
    stage       TEXT      NOT NULL,
    entered_at  TIMESTAMP NOT NULL,
    entered_by  TEXT      NOT NULL,
    PRIMARY KEY (route, environment, revision),
    FOREIGN KEY (route, environment) REFERENCES rollouts (route, environment)
);
-- How each came to its present stage was not kept until now; the audit log has it.
INSERT INTO stage_history (route, environment, revision, stage, entered_at, entered_by)
    SELECT route, environment, revision, stage, stage_since, 'system' FROM rollouts;
