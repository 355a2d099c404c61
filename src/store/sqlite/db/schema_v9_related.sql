-- Format 9: rows of other tables that lookups of a mapping's records point to.

-- Where the reading of a table stands. name: `d365.account`. fingerprint: of the columns that are kept. version: counts the pages that
-- changed a row, so that what was evaluated with older rows is noticed.
CREATE TABLE related_source (
  id          INTEGER PRIMARY KEY,
  mapping     INTEGER NOT NULL REFERENCES mapping (id),
  name        TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  phase       TEXT NOT NULL CHECK (phase IN ('full', 'delta')),
  link        TEXT,
  generation  INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  UNIQUE (mapping, name)
) STRICT;

-- The kept columns of a row, as JSON. generation: the full load that saw it last.
CREATE TABLE related_row (
  mapping    INTEGER NOT NULL REFERENCES mapping (id),
  row_id     TEXT NOT NULL,
  source     INTEGER NOT NULL REFERENCES related_source (id),
  columns    TEXT NOT NULL,
  generation INTEGER NOT NULL,
  PRIMARY KEY (mapping, row_id, source)
) STRICT, WITHOUT ROWID;

-- Which rows a record was evaluated with, whether or not they are kept.
CREATE TABLE related_use (
  mapping   INTEGER NOT NULL REFERENCES mapping (id),
  row_id    TEXT NOT NULL,
  source_id TEXT NOT NULL,
  source    INTEGER NOT NULL REFERENCES related_source (id),
  PRIMARY KEY (mapping, row_id, source_id, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX related_use_record ON related_use (mapping, source_id);
