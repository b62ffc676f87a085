DROP INDEX audit_action;
DROP TABLE audit_checkpoints;
