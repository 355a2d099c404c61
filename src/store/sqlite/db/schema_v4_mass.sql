-- Format 4, mass changes: what would delete records or empty fields is held until the whole load has been seen.

-- One row for each target record, beside the outbox. cause: why it is held. payload: the values of a record of which fields would
-- become empty, or lose a source column; what else has changed is in the outbox already. slots: those of these fields, as
-- little-endian 32-bit numbers; the highest byte is 0 if the field becomes empty, otherwise the number of the lost column, from 1.
CREATE TABLE held (
  mapping      INTEGER NOT NULL REFERENCES mapping (id),
  key          TEXT NOT NULL,
  source_id    TEXT NOT NULL,
  cause        TEXT NOT NULL CHECK (cause IN ('deleted', 'filtered', 'unseen', 'emptied')),
  payload      TEXT,
  slots        BLOB,
  with_initial INTEGER NOT NULL,
  rewrite      INTEGER NOT NULL,
  generation   INTEGER NOT NULL,
  change_no    INTEGER NOT NULL,
  held_at      INTEGER NOT NULL,
  PRIMARY KEY (mapping, key),
  CHECK ((cause = 'emptied') = (payload IS NOT NULL)),
  CHECK ((cause = 'emptied') = (slots IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX held_source ON held (mapping, source_id);

-- A workflow whose held changes need approval. summary is JSON: counts and paths, nobody's data.
CREATE TABLE mass_change (
  mapping INTEGER PRIMARY KEY REFERENCES mapping (id),
  since   INTEGER NOT NULL,
  summary TEXT NOT NULL
) STRICT;

-- filled: for each slot a byte that says which of the source columns that the field reads had a value at the last write; see
-- `FilledColumns`. Kept for fields only that can have a value although such a column is empty.
ALTER TABLE ledger ADD COLUMN filled BLOB NOT NULL DEFAULT x'';

-- What passed without approval in the last 24 hours, so that a mass change in small pieces is noticed too: one row for each round
-- that let changes pass. path: empty for deletions, otherwise the target path of a field that became empty, or that
-- path, U+001F and the number of the source column that the field lost.
CREATE TABLE mass_passed (
  mapping INTEGER NOT NULL REFERENCES mapping (id),
  path    TEXT NOT NULL,
  at      INTEGER NOT NULL,
  records INTEGER NOT NULL,
  PRIMARY KEY (mapping, path, at)
) STRICT, WITHOUT ROWID;

-- Records that the current full load has read, of whatever kind: a source that returns nothing deletes nothing.
ALTER TABLE cursor ADD COLUMN records INTEGER NOT NULL DEFAULT 0;

