-- Times are microseconds since 1970, where windows begin seconds since 1970: all by the clock of the
-- server that took the report.

-- Taken first by whoever writes: positions are in the order of commits, over all nodes. Reports up to
-- `epoch_after` are of an epoch before.
CREATE TABLE head (
    id          INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    position    BIGINT  NOT NULL,
    epoch       TEXT    NOT NULL,
    epoch_after BIGINT  NOT NULL
);
INSERT INTO head (id, position, epoch, epoch_after) VALUES (1, 0, '', 0);

-- What instances have in their code; many have the same.
CREATE TABLE route_lists (
    digest TEXT PRIMARY KEY NOT NULL,
    routes TEXT NOT NULL
);

-- What a batch says of its sender counts unless a later batch has said it: `described_by` and
-- `routes_by` are those batches' numbers. `counted` are ranges of batches that are counted.
CREATE TABLE instances (
    environment  TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    application  TEXT   NOT NULL,
    version      TEXT   NOT NULL,
    sdk          TEXT   NOT NULL,
    snapshot     TEXT,
    source       TEXT,
    routes       TEXT,
    routes_by    BIGINT NOT NULL,
    cpu_ms       BIGINT,
    memory_bytes BIGINT,
    first_seen   BIGINT NOT NULL,
    last_seen    BIGINT NOT NULL,
    ended_at     BIGINT,
    described_by BIGINT NOT NULL,
    minute       BIGINT NOT NULL,
    counted      TEXT   NOT NULL,
    PRIMARY KEY (environment, id)
);
CREATE INDEX instances_last_seen ON instances (environment, last_seen);

CREATE TABLE reports (
    position        INTEGER PRIMARY KEY NOT NULL,
    at              BIGINT NOT NULL,
    environment     TEXT   NOT NULL,
    instance        TEXT   NOT NULL,
    route           TEXT   NOT NULL,
    path            TEXT   NOT NULL,
    role            TEXT   NOT NULL,
    revision        BIGINT NOT NULL,
    calls           BIGINT NOT NULL,
    errors          BIGINT NOT NULL,
    panics          BIGINT NOT NULL,
    cancelled       BIGINT NOT NULL,
    comparisons     BIGINT NOT NULL,
    mismatches      BIGINT NOT NULL,
    ramp_trials     BIGINT NOT NULL,
    ramp_violations BIGINT NOT NULL,
    slow            TEXT   NOT NULL
);
CREATE INDEX reports_at ON reports (at);

CREATE TABLE windows (
    environment TEXT   NOT NULL,
    route       TEXT   NOT NULL,
    seconds     BIGINT NOT NULL,
    starts_at   BIGINT NOT NULL,
    path        TEXT   NOT NULL,
    role        TEXT   NOT NULL,
    calls       BIGINT NOT NULL,
    errors      BIGINT NOT NULL,
    panics      BIGINT NOT NULL,
    cancelled   BIGINT NOT NULL,
    comparisons BIGINT NOT NULL,
    mismatches  BIGINT NOT NULL,
    slow        TEXT   NOT NULL,
    latency     TEXT   NOT NULL,
    PRIMARY KEY (environment, route, seconds, starts_at, path, role)
);
CREATE INDEX windows_starts_at ON windows (seconds, starts_at);

CREATE TABLE process_minutes (
    environment    TEXT   NOT NULL,
    starts_at      BIGINT NOT NULL,
    instances      BIGINT NOT NULL,
    cpu_ms         BIGINT NOT NULL,
    memory_max     BIGINT NOT NULL,
    memory_sum     BIGINT NOT NULL,
    memory_samples BIGINT NOT NULL,
    PRIMARY KEY (environment, starts_at)
);
CREATE INDEX process_minutes_starts_at ON process_minutes (starts_at);
