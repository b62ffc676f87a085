DROP INDEX rollouts_ramp;
ALTER TABLE rollouts DROP COLUMN mirror;
ALTER TABLE rollouts DROP COLUMN guard_halts;
ALTER TABLE rollouts DROP COLUMN ramp_due;
ALTER TABLE rollouts DROP COLUMN ramp;
