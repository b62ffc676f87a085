-- What the guards of rollouts have gathered, as JSON.
CREATE TABLE guards (
    environment TEXT NOT NULL,
    route       TEXT NOT NULL,
    state       TEXT NOT NULL,
    PRIMARY KEY (environment, route)
);

-- The position of the last report that went into them.
CREATE TABLE guarded (
    id       INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    position BIGINT  NOT NULL
);
INSERT INTO guarded (id, position) VALUES (1, 0);
