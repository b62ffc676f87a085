CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE environments (
    key        TEXT      NOT NULL PRIMARY KEY,
    kind       TEXT      NOT NULL CHECK (kind IN ('hosted', 'on_prem')),
    position   INTEGER   NOT NULL UNIQUE,
    production BOOLEAN   NOT NULL,
    revision   BIGINT    NOT NULL,
    generation BIGINT    NOT NULL,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE routes (
    key         TEXT      NOT NULL PRIMARY KEY,
    flag        TEXT      NOT NULL UNIQUE,
    endpoint    TEXT      NOT NULL,
    operation   TEXT      NOT NULL,
    owner       TEXT      NOT NULL,
    policy      TEXT      NOT NULL,
    ramp_group  TEXT,
    labels      TEXT      NOT NULL,
    contacts    TEXT      NOT NULL,
    description TEXT      NOT NULL,
    links       TEXT      NOT NULL,
    retired_at  TIMESTAMP,
    revision    BIGINT    NOT NULL,
    created_at  TIMESTAMP NOT NULL
);

CREATE TABLE requirements (
    route    TEXT NOT NULL REFERENCES routes (key),
    required TEXT NOT NULL REFERENCES routes (key),
    PRIMARY KEY (route, required)
);
CREATE INDEX requirements_required ON requirements (required);

CREATE TABLE rollouts (
    route               TEXT      NOT NULL REFERENCES routes (key),
    environment         TEXT      NOT NULL REFERENCES environments (key),
    stage               TEXT      NOT NULL CHECK (stage IN ('ready_for_testing', 'opt_in', 'opt_out', 'mandatory')),
    stage_since         TIMESTAMP NOT NULL,
    setting_mode        TEXT      NOT NULL CHECK (setting_mode IN ('stage_default', 'off', 'on', 'ramp')),
    setting_thousandths INTEGER   CHECK ((setting_mode = 'ramp') = (setting_thousandths IS NOT NULL)),
    include             TEXT      NOT NULL,
    exclude             TEXT      NOT NULL,
    halt                TEXT,
    acceptance          TEXT,
    acceptance_until    TIMESTAMP,
    revision            BIGINT    NOT NULL,
    published_at        BIGINT    NOT NULL,
    changed_at          TIMESTAMP NOT NULL,
    PRIMARY KEY (route, environment)
);
CREATE INDEX rollouts_published ON rollouts (environment, published_at);
CREATE INDEX rollouts_acceptance ON rollouts (acceptance_until) WHERE acceptance_until IS NOT NULL;

CREATE TABLE approvals (
    id           TEXT      NOT NULL PRIMARY KEY,
    route        TEXT      NOT NULL,
    environment  TEXT      NOT NULL,
    to_stage     TEXT      NOT NULL,
    approver     TEXT      NOT NULL,
    digest       TEXT      NOT NULL,
    comment      TEXT      NOT NULL,
    created_at   TIMESTAMP NOT NULL,
    withdrawn_at TIMESTAMP,
    FOREIGN KEY (route, environment) REFERENCES rollouts (route, environment)
);
CREATE INDEX approvals_rollout ON approvals (route, environment, to_stage);

CREATE TABLE audit_head (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq  BIGINT  NOT NULL,
    hash TEXT    NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');

CREATE TABLE audit (
    seq         BIGINT    NOT NULL PRIMARY KEY,
    at          TIMESTAMP NOT NULL,
    subject     TEXT      NOT NULL,
    action      TEXT      NOT NULL,
    route       TEXT,
    environment TEXT,
    entry       TEXT      NOT NULL,
    hash        TEXT      NOT NULL
);
CREATE INDEX audit_route ON audit (route, seq);
CREATE INDEX audit_environment ON audit (environment, seq);

CREATE TABLE sdk_keys (
    id          TEXT      NOT NULL PRIMARY KEY,
    environment TEXT      NOT NULL REFERENCES environments (key),
    name        TEXT      NOT NULL,
    hash        TEXT      NOT NULL UNIQUE,
    created_by  TEXT      NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    revoked_at  TIMESTAMP
);

CREATE TABLE revoked_tokens (
    jti        TEXT      NOT NULL PRIMARY KEY,
    revoked_by TEXT      NOT NULL,
    reason     TEXT      NOT NULL,
    revoked_at TIMESTAMP NOT NULL
);

CREATE TABLE idempotency (
    subject    TEXT      NOT NULL,
    method     TEXT      NOT NULL,
    path       TEXT      NOT NULL,
    key        TEXT      NOT NULL,
    body_hash  TEXT      NOT NULL,
    status     INTEGER   NOT NULL,
    etag       TEXT,
    body       TEXT      NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (subject, method, path, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);
