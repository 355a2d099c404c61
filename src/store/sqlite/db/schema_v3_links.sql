-- Format 3, links: records that wait for the record they link to, and who links to whom.

-- waits: the operation is not given out. An upsert waits for the records that it links to (`link_wait` has which), a delete
-- for those that link to its record. Whoever changes such an operation makes it due again: whether it still has to wait is
-- found out when it is next claimed.
ALTER TABLE outbox ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
-- held: a delete that has waited for its children long enough.
ALTER TABLE outbox ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mapping ADD COLUMN waiting_rows INTEGER NOT NULL DEFAULT 0;
-- key_attribute: what target records are addressed by; none where that is not known yet.
ALTER TABLE mapping ADD COLUMN key_attribute TEXT;
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (mapping, seq) WHERE state = 'ready' AND not_before = 0 AND waits = 0;
CREATE INDEX outbox_waiting ON outbox (mapping, seq) WHERE waits = 1;

CREATE TABLE link_wait (
  parent    INTEGER NOT NULL REFERENCES mapping (id),
  parent_id TEXT NOT NULL,
  seq       INTEGER NOT NULL,
  PRIMARY KEY (parent, parent_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_wait_seq ON link_wait (seq);

-- The links that were written: the slot of the link's path in a target record, and the source record that it leads to.
CREATE TABLE link (
  mapping   INTEGER NOT NULL REFERENCES mapping (id),
  key       TEXT NOT NULL,
  slot      INTEGER NOT NULL,
  parent    INTEGER NOT NULL REFERENCES mapping (id),
  parent_id TEXT NOT NULL,
  PRIMARY KEY (mapping, key, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_parent ON link (parent, parent_id);

CREATE TRIGGER outbox_newer AFTER UPDATE OF op, payload, state ON outbox WHEN old.waits = 1 AND new.waits = 1
BEGIN
  UPDATE outbox SET waits = 0 WHERE seq = new.seq;
END;
CREATE TRIGGER outbox_waits AFTER UPDATE OF waits ON outbox WHEN old.waits <> new.waits
BEGIN
  UPDATE mapping SET waiting_rows = waiting_rows + new.waits - old.waits WHERE id = new.mapping;
  DELETE FROM link_wait WHERE seq = new.seq AND new.waits = 0;
END;
CREATE TRIGGER outbox_gone AFTER DELETE ON outbox WHEN old.waits = 1
BEGIN
  UPDATE mapping SET waiting_rows = waiting_rows - 1 WHERE id = old.mapping;
  DELETE FROM link_wait WHERE seq = old.seq;
END;
CREATE TRIGGER ledger_gone AFTER DELETE ON ledger
BEGIN
  DELETE FROM link WHERE mapping = old.mapping AND key = old.key;
END;
