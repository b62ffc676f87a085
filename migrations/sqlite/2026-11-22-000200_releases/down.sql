DROP TABLE censuses;
DROP TABLE release_stages;
DROP TABLE releases;
