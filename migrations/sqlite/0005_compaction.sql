-- Events up to this revision were dropped, the last of them at this Unix time. 0: none.
ALTER TABLE counter ADD COLUMN dropped_through INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counter ADD COLUMN dropped_at_ms INTEGER NOT NULL DEFAULT 0;
