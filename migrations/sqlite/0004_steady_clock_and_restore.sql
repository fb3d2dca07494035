-- What the controller's steady clock showed last, in milliseconds. 0: nothing was kept.
ALTER TABLE counter ADD COLUMN steady_ms INTEGER NOT NULL DEFAULT 0;
-- That the file was restored from a backup, until every migration is held for it. NULL: it was not.
ALTER TABLE counter ADD COLUMN restored TEXT;
