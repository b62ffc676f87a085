CREATE TABLE audit_checkpoints (
    seq    BIGINT    NOT NULL PRIMARY KEY,
    hash   TEXT      NOT NULL,
    at     TIMESTAMP NOT NULL,
    signed TEXT      NOT NULL
);
CREATE INDEX audit_action ON audit (action, seq);
