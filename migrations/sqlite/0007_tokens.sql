-- Who may call. The text of a token is not stored, only its SHA-256.
CREATE TABLE tokens (
    id      TEXT PRIMARY KEY, -- its name
    record  TEXT NOT NULL,    -- JSON
    used_ms INTEGER NOT NULL  -- Unix time of the last use; 0: never
) STRICT;

-- Known to controllers of this store alone, and to copies of it: proves to it which states it has sent.
ALTER TABLE counter ADD COLUMN seal_key TEXT NOT NULL DEFAULT '';
UPDATE counter SET seal_key = lower(hex(randomblob(32)));

-- What was done to tokens.
CREATE TABLE token_events (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL -- JSON
) STRICT;
