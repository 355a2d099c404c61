-- Format 11: what a service that runs all the time remembers.

-- The history for charts. A row is what was done in `span` milliseconds from `at` on.

CREATE TABLE sample_records (
  span     INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  name     TEXT NOT NULL,
  read     INTEGER NOT NULL,
  created  INTEGER NOT NULL,
  updated  INTEGER NOT NULL,
  deleted  INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  failed   INTEGER NOT NULL,
  PRIMARY KEY (span, at, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE sample_calls (
  span         INTEGER NOT NULL,
  at           INTEGER NOT NULL,
  name         TEXT NOT NULL,
  calls        INTEGER NOT NULL,
  throttled    INTEGER NOT NULL,
  failed       INTEGER NOT NULL,
  milliseconds INTEGER NOT NULL,
  PRIMARY KEY (span, at, name)
) STRICT, WITHOUT ROWID;

-- Of which causes people were notified that are not over.
CREATE TABLE alert (
  cause TEXT PRIMARY KEY,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
