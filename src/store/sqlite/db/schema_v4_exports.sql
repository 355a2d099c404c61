
-- Format 4, exports: files that the last reading skipped, and what is wrong with each. The text names no value of the file.
CREATE TABLE export_problem (
  flow    TEXT NOT NULL,
  name    TEXT NOT NULL,
  problem TEXT NOT NULL,
  PRIMARY KEY (flow, name)
) STRICT, WITHOUT ROWID;
