-- Format 4, dead letters. generation: the load in which the source last had the record. A full load that does not read it shows that
-- it was deleted, so its dead letter is removed. 0: from before this format, and removed by the first full load without the record.
ALTER TABLE dead_letter ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
