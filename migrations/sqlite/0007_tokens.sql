-- Who may call. The text of a token is not stored, only its SHA-256.
CREATE TABLE tokens (
    id      TEXT PRIMARY KEY, -- its name
    record  TEXT NOT NULL,    -- JSON
    used_ms INTEGER NOT NULL  -- Unix time of the last use; 0: never
) STRICT;

-- What was done to tokens.
CREATE TABLE token_events (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL -- JSON
) STRICT;
