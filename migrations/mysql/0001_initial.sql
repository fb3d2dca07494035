-- MySQL commits each definition by itself. A start that was killed half-way is repeated from the beginning, so each
-- statement here may run again. Sessions have ANSI_QUOTES. Ids are bytes: no collation of both MySQL and MariaDB keeps
-- 'a' and 'a ' apart.

-- One row. Updating it is the first thing that a commit does after it has looked at the fence, so commits are in order
-- and without gaps.
CREATE TABLE IF NOT EXISTS counter (
    id              TINYINT NOT NULL PRIMARY KEY CHECK (id = 1),
    revision        BIGINT NOT NULL DEFAULT 0,
    history_id      VARCHAR(64) NOT NULL,
    -- The last stored reading of the controller's steady clock, in milliseconds. 0: none.
    steady_ms       BIGINT NOT NULL DEFAULT 0,
    -- How the store was restored, until every migration is held for that. NULL: it was not.
    restored        TEXT,
    -- An instance that holds more than the store has showed that it was restored.
    put_back        BOOLEAN NOT NULL DEFAULT false,
    -- Known to controllers of this store alone, and to copies of it: proves to it which states it has sent.
    seal_key        VARCHAR(64) NOT NULL,
    -- Events up to this revision were dropped, the last of them at this Unix time. 0: none.
    dropped_through BIGINT NOT NULL DEFAULT 0,
    dropped_at_ms   BIGINT NOT NULL DEFAULT 0,
    -- The hash of the last event that was dropped. Zeros: none was.
    dropped_hash    VARBINARY(32) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who leads. One row, which each beat changes.
CREATE TABLE IF NOT EXISTS leader (
    id         TINYINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch      BIGINT NOT NULL, -- Grows with each change of leader.
    beat       BIGINT NOT NULL, -- Grows while the leader lives.
    holder     TEXT NOT NULL,   -- For people, with a part that is unique. Empty: nobody leads.
    -- What the newest program that has led reads and writes. An older one does not take the seat.
    format     BIGINT NOT NULL,
    -- Which server the seat was taken at. Another one: commits may be missing.
    "database" TEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The same of the leader, without its beat. One row, in a table of its own: InnoDB locks whole rows. A transaction that
-- writes locks it, so only a change of leader waits for that.
CREATE TABLE IF NOT EXISTS fence (
    id         TINYINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch      BIGINT NOT NULL,
    holder     TEXT NOT NULL,
    "database" TEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A row for each kind of write that one transaction does at a time, which locks it.
CREATE TABLE IF NOT EXISTS orders (
    id TINYINT NOT NULL PRIMARY KEY -- 1: records, 2: windows
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS migrations (
    "key"    VARBINARY(64) NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    document LONGTEXT NOT NULL -- JSON
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS tenants (
    migration VARBINARY(64) NOT NULL,
    tenant    VARBINARY(256) NOT NULL,
    "row"     LONGTEXT NOT NULL, -- JSON
    PRIMARY KEY (migration, tenant)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS events (
    revision    BIGINT NOT NULL PRIMARY KEY,
    "key"       VARBINARY(64) NOT NULL,
    at_ms       BIGINT NOT NULL, -- Unix time
    actor       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    request_id  VARBINARY(512) NOT NULL, -- empty: none
    "change"    TEXT NOT NULL,
    summary     LONGTEXT NOT NULL, -- JSON, a list of lines
    document    LONGTEXT,          -- JSON; NULL: the migration was deleted
    "rows"      LONGTEXT NOT NULL, -- JSON, a list of [tenant, row or null]
    hash        VARBINARY(32) NOT NULL,   -- SHA-256 over its content and the hash of the event before it
    history_id  VARCHAR(64) NOT NULL,     -- the history in which it was committed
    -- The request's id, or NULL if it has none: an index of this server has no condition.
    request_key VARBINARY(512) AS (NULLIF(request_id, '')) STORED,
    UNIQUE KEY events_by_request (request_key),
    KEY events_by_key ("key", revision)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS instances (
    id     VARBINARY(767) NOT NULL PRIMARY KEY,
    record LONGTEXT NOT NULL -- JSON
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The progress of running passes.
CREATE TABLE IF NOT EXISTS passes (
    id     VARBINARY(767) NOT NULL PRIMARY KEY, -- of the job
    record LONGTEXT NOT NULL                    -- JSON
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The positions of notification endpoints.
CREATE TABLE IF NOT EXISTS cursors (
    id     VARBINARY(767) NOT NULL PRIMARY KEY, -- the endpoint's name
    record LONGTEXT NOT NULL                    -- JSON
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was reported of a migration. `at`: the Unix second at which the window begins, or a revision.
CREATE TABLE IF NOT EXISTS windows (
    migration VARBINARY(64) NOT NULL,
    scale     VARBINARY(16) NOT NULL, -- revision, second, minute or half-hour
    at        BIGINT NOT NULL,
    counts    LONGTEXT NOT NULL,      -- JSON
    PRIMARY KEY (migration, scale, at),
    KEY windows_by_age (scale, at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The last report of each instance that is counted in them.
CREATE TABLE IF NOT EXISTS heard (
    id     VARBINARY(767) NOT NULL PRIMARY KEY, -- the instance's
    record LONGTEXT NOT NULL                    -- JSON
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who may call. The text of a token is not stored, only its SHA-256.
CREATE TABLE IF NOT EXISTS tokens (
    id      VARBINARY(767) NOT NULL PRIMARY KEY, -- its name
    hash    VARBINARY(64) NOT NULL,              -- the one in the record
    record  LONGTEXT NOT NULL,                   -- JSON
    used_ms BIGINT NOT NULL DEFAULT 0            -- Unix time of the last use; 0: never
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was done to tokens.
CREATE TABLE IF NOT EXISTS token_events (
    id     BIGINT NOT NULL PRIMARY KEY,
    record LONGTEXT NOT NULL -- JSON
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
