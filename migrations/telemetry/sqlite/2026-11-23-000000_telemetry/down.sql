DROP TABLE process_minutes;
DROP TABLE windows;
DROP TABLE reports;
DROP TABLE instances;
DROP TABLE route_lists;
DROP TABLE head;
