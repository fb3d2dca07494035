-- How far each endpoint of notifications has got.
CREATE TABLE cursors (
    id     TEXT PRIMARY KEY, -- the endpoint's name
    record TEXT NOT NULL     -- JSON
) STRICT;
