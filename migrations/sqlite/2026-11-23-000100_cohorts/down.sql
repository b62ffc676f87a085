ALTER TABLE rollouts DROP COLUMN uses;
DROP TABLE ramp_groups;
DROP TABLE cohorts;
