-- What the controller's steady clock showed last, in milliseconds. 0: nothing was kept.
ALTER TABLE counter ADD COLUMN steady_ms INTEGER NOT NULL DEFAULT 0;
