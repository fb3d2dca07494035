-- The tables are in a schema of their own, which is first in the search path.

-- One row. Updating it is the first thing that a commit does after it has looked at the leader, so commits are in order
-- and without gaps.
CREATE TABLE counter (
    id              BOOLEAN PRIMARY KEY DEFAULT true CHECK (id),
    revision        BIGINT NOT NULL DEFAULT 0,
    history_id      TEXT NOT NULL,
    -- The last stored reading of the controller's steady clock, in milliseconds. 0: none.
    steady_ms       BIGINT NOT NULL DEFAULT 0,
    -- How the store was restored, until every migration is held for that. NULL: it was not.
    restored        TEXT,
    -- An instance that holds more than the store has showed that it was restored.
    put_back        BOOLEAN NOT NULL DEFAULT false,
    -- Known to controllers of this store alone, and to copies of it: proves to it which states it has sent.
    seal_key        TEXT NOT NULL,
    -- Events up to this revision were dropped, the last of them at this Unix time. 0: none.
    dropped_through BIGINT NOT NULL DEFAULT 0,
    dropped_at_ms   BIGINT NOT NULL DEFAULT 0,
    -- The hash of the last event that was dropped. Zeros: none was.
    dropped_hash    BYTEA NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
);
INSERT INTO counter (history_id, seal_key) VALUES (
    replace(gen_random_uuid()::text, '-', ''),
    replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
);

-- Who leads. One row. A commit takes a key-share lock on it, so only a change of the epoch waits for commits under way;
-- beats do not.
CREATE TABLE leader (
    id     BOOLEAN PRIMARY KEY DEFAULT true CHECK (id),
    epoch  BIGINT NOT NULL UNIQUE, -- Grows with each change of leader.
    beat   BIGINT NOT NULL,        -- Grows while the leader lives.
    holder TEXT NOT NULL,          -- For people, with a part that is unique. Empty: nobody leads.
    -- What the newest program that has led reads and writes. An older one does not take the seat.
    format   BIGINT NOT NULL,
    -- PostgreSQL's system identifier and timeline when the seat was taken. Another one: commits may be missing.
    database TEXT NOT NULL
);
INSERT INTO leader (epoch, beat, holder, format, database) VALUES (0, 0, '', 1, '');

CREATE TABLE migrations (
    key      TEXT COLLATE "C" PRIMARY KEY,
    revision BIGINT NOT NULL,
    document TEXT NOT NULL -- JSON
);

CREATE TABLE tenants (
    migration TEXT COLLATE "C" NOT NULL,
    tenant    TEXT COLLATE "C" NOT NULL,
    row       TEXT NOT NULL, -- JSON
    PRIMARY KEY (migration, tenant)
);

CREATE TABLE events (
    revision   BIGINT PRIMARY KEY,
    key        TEXT COLLATE "C" NOT NULL,
    at_ms      BIGINT NOT NULL, -- Unix time
    actor      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL, -- empty: none
    change     TEXT NOT NULL,
    summary    TEXT NOT NULL, -- JSON, a list of lines
    document   TEXT,          -- JSON; NULL: the migration was deleted
    rows       TEXT NOT NULL, -- JSON, a list of [tenant, row or null]
    hash       BYTEA NOT NULL, -- SHA-256 over its content and the hash of the event before it
    history_id TEXT NOT NULL   -- the history in which it was committed
);
CREATE INDEX events_by_key ON events (key, revision);
CREATE UNIQUE INDEX events_by_request ON events (request_id) WHERE request_id <> '';

CREATE TABLE instances (
    id     TEXT COLLATE "C" PRIMARY KEY,
    record TEXT NOT NULL -- JSON
);

-- The progress of running passes.
CREATE TABLE passes (
    id     TEXT COLLATE "C" PRIMARY KEY, -- of the job
    record TEXT NOT NULL                 -- JSON
);

-- The positions of notification endpoints.
CREATE TABLE cursors (
    id     TEXT COLLATE "C" PRIMARY KEY, -- the endpoint's name
    record TEXT NOT NULL                 -- JSON
);

-- What was reported of a migration. `at`: the Unix second at which the window begins, or a revision.
CREATE TABLE windows (
    migration TEXT COLLATE "C" NOT NULL,
    scale     TEXT COLLATE "C" NOT NULL, -- revision, second, minute or half-hour
    at        BIGINT NOT NULL,
    counts    TEXT NOT NULL,             -- JSON
    PRIMARY KEY (migration, scale, at)
);
CREATE INDEX windows_by_age ON windows (scale, at);

-- The last report of each instance that is counted in them.
CREATE TABLE heard (
    id     TEXT COLLATE "C" PRIMARY KEY, -- the instance's
    record TEXT NOT NULL                 -- JSON
);

-- Who may call. The text of a token is not stored, only its SHA-256.
CREATE TABLE tokens (
    id      TEXT COLLATE "C" PRIMARY KEY, -- its name
    hash    TEXT NOT NULL,                -- the one in the record
    record  TEXT NOT NULL,                -- JSON
    used_ms BIGINT NOT NULL DEFAULT 0     -- Unix time of the last use; 0: never
);

-- What was done to tokens.
CREATE TABLE token_events (
    id     BIGINT PRIMARY KEY,
    record TEXT NOT NULL -- JSON
);
