DROP TABLE release_builds;
