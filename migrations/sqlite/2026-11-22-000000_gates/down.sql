DROP TABLE promotion_approvals;
DROP TABLE promotions;
DROP INDEX approvals_approver;
DROP TABLE freezes;
DROP TABLE evidence;
DROP TABLE policies;
ALTER TABLE rollouts DROP COLUMN drill;
ALTER TABLE rollouts DROP COLUMN demoted_at;
ALTER TABLE routes DROP COLUMN policy_numbers;
