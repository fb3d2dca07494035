-- Whether `restored` was found out from an instance that holds more than the file had, not said by a restore.
ALTER TABLE counter ADD COLUMN put_back INTEGER NOT NULL DEFAULT 0;
