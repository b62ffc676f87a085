-- Where the code speaks of routes: the last scan of each repository, and what it found of each route that
-- it looked for. Times in microseconds.
CREATE TABLE code_scans (
    repository TEXT   NOT NULL PRIMARY KEY,
    revision   TEXT   NOT NULL,
    scanned_at BIGINT NOT NULL,
    posted_at  BIGINT NOT NULL,
    posted_by  TEXT   NOT NULL,
    files      BIGINT NOT NULL,
    routes     BIGINT NOT NULL,
    uses       BIGINT NOT NULL
);

CREATE TABLE code_references (
    repository TEXT   NOT NULL,
    route      TEXT   NOT NULL,
    uses       BIGINT NOT NULL,
    places     TEXT   NOT NULL,
    PRIMARY KEY (repository, route)
);
CREATE INDEX code_references_of ON code_references (route);
