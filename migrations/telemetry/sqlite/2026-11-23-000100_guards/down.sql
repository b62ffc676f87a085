DROP TABLE guarded;
DROP TABLE guards;
