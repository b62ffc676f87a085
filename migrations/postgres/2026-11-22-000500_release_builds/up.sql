-- The last build of drafts that were deleted: a number stands for one content for ever.
CREATE TABLE release_builds (
    environment TEXT   NOT NULL REFERENCES environments (key),
    name        TEXT   NOT NULL,
    build       BIGINT NOT NULL,
    PRIMARY KEY (environment, name)
);
