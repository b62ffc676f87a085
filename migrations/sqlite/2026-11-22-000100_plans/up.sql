-- A plan that was taken away leaves its row without a text: its revisions are not used again.
CREATE TABLE plans (
    route    TEXT      NOT NULL PRIMARY KEY REFERENCES routes (key),
    source   TEXT,
    ordered  BOOLEAN,
    revision BIGINT    NOT NULL,
    put_by   TEXT      NOT NULL,
    put_at   TIMESTAMP NOT NULL
);

CREATE TABLE plan_gates (
    route   TEXT NOT NULL REFERENCES plans (route),
    section TEXT NOT NULL,
    gate    TEXT CHECK (gate IN ('opt_in', 'opt_out', 'mandatory')),
    PRIMARY KEY (route, section)
);

CREATE TABLE plan_steps (
    route     TEXT NOT NULL REFERENCES plans (route),
    step      TEXT NOT NULL,
    done      BOOLEAN,
    done_by   TEXT,
    done_at   TIMESTAMP,
    note      TEXT,
    waits_for TEXT,
    PRIMARY KEY (route, step)
);
