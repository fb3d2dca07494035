-- What was reported of a migration. `at`: the Unix second at which the window begins, or a revision.
CREATE TABLE windows (
    migration TEXT NOT NULL,
    scale     TEXT NOT NULL,    -- revision, second, minute or half-hour
    at        INTEGER NOT NULL,
    counts    TEXT NOT NULL,    -- JSON
    PRIMARY KEY (migration, scale, at)
) STRICT;
CREATE INDEX windows_by_age ON windows (scale, at);

-- The last report of each instance that is counted in them.
CREATE TABLE heard (
    id     TEXT PRIMARY KEY, -- the instance's
    record TEXT NOT NULL     -- JSON
) STRICT;
