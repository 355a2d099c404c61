-- Format 7: rows of lists of a two-way mapping, so that a row that is deleted leads to its record.

CREATE TABLE pair_row (
  mapping  INTEGER NOT NULL REFERENCES mapping (id),
  row_id   TEXT NOT NULL,
  right_id TEXT NOT NULL,
  PRIMARY KEY (mapping, row_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pair_row_right ON pair_row (mapping, right_id);

-- Where the reading of a table with such rows stands.
CREATE TABLE pair_row_cursor (
  mapping INTEGER NOT NULL REFERENCES mapping (id),
  source  TEXT NOT NULL,
  plan    TEXT NOT NULL,
  link    TEXT,
  PRIMARY KEY (mapping, source)
) STRICT;
