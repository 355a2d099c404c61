-- Format 4, mass changes: what would delete records or empty fields is held until the whole load has been seen.

-- One row for each target record, beside the outbox. cause: why it is held. payload: the values of a record of which fields would
-- become empty; what else has changed is in the outbox already. slots: those of these fields, as little-endian 32-bit numbers.
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

-- What passed without approval in the last 24 hours, so that a mass change in small pieces is noticed too: one row for each round
-- that let changes pass. path: empty for deletions, otherwise the target path of a field that became empty.
CREATE TABLE mass_passed (
  mapping INTEGER NOT NULL REFERENCES mapping (id),
  path    TEXT NOT NULL,
  at      INTEGER NOT NULL,
  records INTEGER NOT NULL,
  PRIMARY KEY (mapping, path, at)
) STRICT, WITHOUT ROWID;

-- Records that the current full load has read, of whatever kind: a source that returns nothing deletes nothing.
ALTER TABLE cursor ADD COLUMN records INTEGER NOT NULL DEFAULT 0;

