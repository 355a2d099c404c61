-- remade: the target record was about to be created although the ledger had it, and its create has not been settled since. The
-- service emptied the links that led to the old record, so they are written again when the record is there for certain.
ALTER TABLE ledger ADD COLUMN remade INTEGER NOT NULL DEFAULT 0;
