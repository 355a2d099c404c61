-- Format 12: the audit log of the pages and the API. Numbers are never used again, so that a page backwards has no gaps and no repetitions.

CREATE TABLE audit (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  at     INTEGER NOT NULL,
  who    TEXT NOT NULL,
  role   TEXT,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  result TEXT NOT NULL,
  origin TEXT
) STRICT;
CREATE INDEX audit_at ON audit (at);
