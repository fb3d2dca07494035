-- One row. Bumping it is the first thing that a commit does, so commits are in order and without holes.
CREATE TABLE counter (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    revision   INTEGER NOT NULL,
    history_id TEXT NOT NULL
) STRICT;
INSERT INTO counter VALUES (1, 0, lower(hex(randomblob(16))));

CREATE TABLE migrations (
    key      TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE tenants (
    migration TEXT NOT NULL,
    tenant    TEXT NOT NULL,
    row       TEXT NOT NULL, -- JSON
    PRIMARY KEY (migration, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    revision   INTEGER PRIMARY KEY,
    key        TEXT NOT NULL,
    at_ms      INTEGER NOT NULL, -- Unix time
    actor      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    request_id TEXT NOT NULL, -- empty: none
    change     TEXT NOT NULL,
    summary    TEXT NOT NULL, -- JSON, a list of lines
    document   TEXT,          -- JSON; NULL: the migration is no more
    rows       TEXT NOT NULL  -- JSON, a list of [tenant, row or null]
) STRICT;
CREATE INDEX events_by_key ON events (key, revision);
CREATE UNIQUE INDEX events_by_request ON events (request_id) WHERE request_id <> '';

CREATE TABLE instances (
    id     TEXT PRIMARY KEY,
    record TEXT NOT NULL -- JSON
) STRICT;

-- How far passes under way are.
CREATE TABLE passes (
    id     TEXT PRIMARY KEY, -- of the job
    record TEXT NOT NULL     -- JSON
) STRICT;
