-- The processes that write data routes, whom flips wait for. Times are in microseconds since 1970.
CREATE TABLE writers (
    environment  TEXT   NOT NULL,
    route        TEXT   NOT NULL,
    instance     TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    joined_at    BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    generation   BIGINT NOT NULL,
    drained      BIGINT,
    fenced       BIGINT NOT NULL,
    unverified   TEXT,
    open_repairs BIGINT NOT NULL,
    gone         TEXT,
    gone_at      BIGINT,
    returned_at  BIGINT,
    PRIMARY KEY (environment, route, instance)
);
CREATE INDEX writers_gone ON writers (gone_at) WHERE gone_at IS NOT NULL;

-- When a flip that is under way is given up at the latest.
ALTER TABLE rollouts ADD COLUMN flip_until TIMESTAMP;
CREATE INDEX rollouts_flip ON rollouts (flip_until) WHERE flip_until IS NOT NULL;
