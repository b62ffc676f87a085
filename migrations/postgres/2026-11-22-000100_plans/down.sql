DROP TABLE plan_steps;
DROP TABLE plan_gates;
DROP TABLE plans;
