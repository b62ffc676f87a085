-- The two stores of data routes: what is known of each pair, the ledger of repairs, backfills and
-- consistency runs. Times in microseconds.
CREATE TABLE stores (
    environment TEXT   NOT NULL,
    route       TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    due_at      BIGINT,
    PRIMARY KEY (environment, route)
);
CREATE INDEX stores_due ON stores (due_at);

CREATE TABLE repairs (
    environment  TEXT   NOT NULL,
    route        TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    instance     TEXT   NOT NULL,
    written      TEXT   NOT NULL,
    generation   BIGINT NOT NULL,
    cause        TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    attempts     BIGINT NOT NULL,
    failed_at    TEXT,
    first_at     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    settled_at   BIGINT,
    settled_by   TEXT,
    settled_why  TEXT,
    ordered      TEXT,
    leased_to    TEXT,
    leased_until BIGINT,
    PRIMARY KEY (environment, route, key, instance)
);
CREATE INDEX repairs_by_state ON repairs (environment, route, state, first_at);
CREATE INDEX repairs_by_instance ON repairs (environment, route, instance);
CREATE INDEX repairs_ordered ON repairs (environment, route, ordered);
CREATE INDEX repairs_settled ON repairs (settled_at);

CREATE TABLE backfills (
    id          TEXT   NOT NULL PRIMARY KEY,
    environment TEXT   NOT NULL,
    route       TEXT   NOT NULL,
    begun_at    BIGINT NOT NULL,
    document    TEXT   NOT NULL
);
CREATE INDEX backfills_of ON backfills (environment, route, id);

CREATE TABLE consistency_runs (
    id          TEXT    NOT NULL PRIMARY KEY,
    environment TEXT    NOT NULL,
    route       TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    due         BIGINT NOT NULL,
    document    TEXT    NOT NULL
);
CREATE INDEX consistency_runs_of ON consistency_runs (environment, route, id);
CREATE INDEX consistency_runs_due ON consistency_runs (due);
