-- A ramp's steps and how far it has come, when it may move at the earliest, when guards halted the
-- rollout, and what also runs on the other path.
ALTER TABLE rollouts ADD COLUMN ramp TEXT;
ALTER TABLE rollouts ADD COLUMN ramp_due TIMESTAMP;
ALTER TABLE rollouts ADD COLUMN guard_halts TEXT NOT NULL DEFAULT '[]';
ALTER TABLE rollouts ADD COLUMN mirror TEXT;
CREATE INDEX rollouts_ramp ON rollouts (ramp_due) WHERE ramp_due IS NOT NULL;
