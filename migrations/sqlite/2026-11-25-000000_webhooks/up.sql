-- Webhooks, and what they were sent. Addresses and secrets are sealed. Times in microseconds.
CREATE TABLE webhooks (
    id            TEXT   NOT NULL PRIMARY KEY,
    document      TEXT   NOT NULL,
    url           TEXT   NOT NULL,
    secrets       TEXT   NOT NULL,
    position      BIGINT NOT NULL,
    failing_since BIGINT,
    delivered_at  BIGINT
);

CREATE TABLE webhook_deliveries (
    id       TEXT NOT NULL PRIMARY KEY,
    webhook  TEXT NOT NULL,
    message  TEXT NOT NULL,
    state    TEXT NOT NULL,
    due_at   BIGINT,
    document TEXT NOT NULL,
    UNIQUE (webhook, message)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook, id);
