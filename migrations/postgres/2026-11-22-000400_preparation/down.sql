DROP TABLE stage_history;
DROP TABLE externals;
DROP TABLE runbooks;
ALTER TABLE routes DROP COLUMN schedule;
ALTER TABLE routes DROP COLUMN priority;
ALTER TABLE routes DROP COLUMN phase;
ALTER TABLE routes DROP COLUMN preparation;
