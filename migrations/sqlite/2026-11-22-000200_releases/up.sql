CREATE TABLE releases (
    environment  TEXT      NOT NULL REFERENCES environments (key),
    name         TEXT      NOT NULL,
    build        BIGINT    NOT NULL,
    state        TEXT      NOT NULL CHECK (state IN ('draft', 'published')),
    follows      TEXT,
    based_on     TEXT,
    routes       BIGINT    NOT NULL,
    digest       TEXT      NOT NULL,
    manifest     TEXT      NOT NULL,
    frozen_at    TIMESTAMP NOT NULL,
    built_at     TIMESTAMP NOT NULL,
    built_by     TEXT      NOT NULL,
    published_at TIMESTAMP,
    published_by TEXT,
    PRIMARY KEY (environment, name),
    FOREIGN KEY (environment, follows) REFERENCES releases (environment, name),
    FOREIGN KEY (environment, based_on) REFERENCES releases (environment, name),
    CHECK ((state = 'published') = (published_at IS NOT NULL)),
    CHECK ((published_at IS NULL) = (published_by IS NULL))
);

CREATE TABLE release_stages (
    environment TEXT NOT NULL,
    route       TEXT NOT NULL REFERENCES routes (key),
    release     TEXT NOT NULL,
    stage       TEXT NOT NULL CHECK (stage IN ('ready_for_testing', 'opt_in', 'opt_out', 'mandatory')),
    PRIMARY KEY (environment, route, release),
    FOREIGN KEY (environment, release) REFERENCES releases (environment, name)
);

CREATE TABLE censuses (
    environment TEXT      NOT NULL REFERENCES environments (key),
    site        TEXT      NOT NULL,
    release     TEXT,
    taken_at    TIMESTAMP NOT NULL,
    imported_at TIMESTAMP NOT NULL,
    imported_by TEXT      NOT NULL,
    overrides   TEXT      NOT NULL,
    ignored     TEXT      NOT NULL,
    PRIMARY KEY (environment, site)
);
