ALTER TABLE routes ADD COLUMN policy_numbers TEXT NOT NULL DEFAULT '{}';
ALTER TABLE rollouts ADD COLUMN demoted_at TIMESTAMP;
ALTER TABLE rollouts ADD COLUMN drill TEXT NOT NULL DEFAULT '{}';

CREATE TABLE policies (
    name       TEXT      NOT NULL,
    version    INTEGER   NOT NULL,
    document   TEXT      NOT NULL,
    created_by TEXT      NOT NULL,
    created_at TIMESTAMP NOT NULL,
    deleted_at TIMESTAMP,
    PRIMARY KEY (name, version)
);

CREATE TABLE evidence (
    id          TEXT      NOT NULL PRIMARY KEY,
    route       TEXT      NOT NULL,
    environment TEXT      NOT NULL,
    kind        TEXT      NOT NULL,
    verdict     TEXT      NOT NULL CHECK (verdict IN ('pass', 'fail')),
    url         TEXT,
    summary     TEXT      NOT NULL,
    created_by  TEXT      NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    FOREIGN KEY (route, environment) REFERENCES rollouts (route, environment)
);
CREATE INDEX evidence_route ON evidence (route, created_at);

CREATE TABLE freezes (
    id           TEXT      NOT NULL PRIMARY KEY,
    environments TEXT      NOT NULL,
    starts_at    TIMESTAMP NOT NULL,
    ends_at      TIMESTAMP,
    reason       TEXT      NOT NULL,
    opened_by    TEXT      NOT NULL,
    opened_at    TIMESTAMP NOT NULL,
    closed_at    TIMESTAMP
);
CREATE INDEX freezes_open ON freezes (ends_at) WHERE closed_at IS NULL;

-- Who promotes cannot be among who approved: the last row below could not be written.
CREATE UNIQUE INDEX approvals_approver ON approvals (id, approver);

CREATE TABLE promotions (
    id          TEXT      NOT NULL PRIMARY KEY,
    route       TEXT      NOT NULL,
    environment TEXT      NOT NULL,
    to_stage    TEXT      NOT NULL,
    promoter    TEXT      NOT NULL,
    break_glass BOOLEAN   NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    UNIQUE (id, promoter),
    FOREIGN KEY (route, environment) REFERENCES rollouts (route, environment)
);
CREATE INDEX promotions_rollout ON promotions (route, environment);

CREATE TABLE promotion_approvals (
    promotion TEXT NOT NULL,
    promoter  TEXT NOT NULL,
    approval  TEXT NOT NULL,
    approver  TEXT NOT NULL,
    PRIMARY KEY (promotion, approval),
    FOREIGN KEY (promotion, promoter) REFERENCES promotions (id, promoter),
    FOREIGN KEY (approval, approver) REFERENCES approvals (id, approver),
    CHECK (promoter <> approver)
);
