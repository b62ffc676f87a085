DROP TABLE consistency_runs;
DROP TABLE backfills;
DROP TABLE repairs;
DROP TABLE stores;
