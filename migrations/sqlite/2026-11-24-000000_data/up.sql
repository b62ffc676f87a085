-- What a rollout whose keys are in two stores keeps besides: the generation of authority, the flip
-- that is under way, and since when the stores are not what they should be.
ALTER TABLE rollouts ADD COLUMN data TEXT;
