DROP TABLE code_references;
DROP TABLE code_scans;
