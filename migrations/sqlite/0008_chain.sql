-- Chains events, so that a change of one shows: SHA-256 over its content and the hash of the event before it.
ALTER TABLE events ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
-- The history in which it was committed.
ALTER TABLE events ADD COLUMN history_id TEXT NOT NULL DEFAULT '';
-- The hash of the last event that was dropped. Zeros: none was, or it had none.
ALTER TABLE counter ADD COLUMN dropped_hash BLOB NOT NULL
    DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000';
-- Events up to this revision were there before hashes, and got theirs at this Unix time. NULL: they lack them yet.
ALTER TABLE counter ADD COLUMN hashed_through INTEGER;
ALTER TABLE counter ADD COLUMN hashed_at_ms INTEGER;
