DROP INDEX rollouts_flip;
ALTER TABLE rollouts DROP COLUMN flip_until;
DROP TABLE writers;
