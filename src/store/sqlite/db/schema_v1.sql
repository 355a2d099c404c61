-- Format 1. A change of the tables is a new file of this kind, never an edit of a published one.
-- Instants are milliseconds since 1970 in UTC.

-- hash_key: the key of the fingerprints; change_no: the number of the last change taken in.
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

-- A flow. The counts are kept in the same transactions as the rows they count: asking for them costs nothing however
-- many rows there are.
CREATE TABLE mapping (
  id              INTEGER PRIMARY KEY,
  name            TEXT NOT NULL UNIQUE,
  outbox_rows     INTEGER NOT NULL DEFAULT 0,
  ledger_rows     INTEGER NOT NULL DEFAULT 0,
  queued_total    INTEGER NOT NULL DEFAULT 0,
  coalesced_total INTEGER NOT NULL DEFAULT 0,
  unchanged_total INTEGER NOT NULL DEFAULT 0,
  cancelled       INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE run (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT NOT NULL,
  mappings   TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at   INTEGER,
  outcome    TEXT,
  counters   TEXT,
  pid        INTEGER NOT NULL,
  host       TEXT NOT NULL
) STRICT;

CREATE TABLE cursor (
  mapping          INTEGER PRIMARY KEY REFERENCES mapping (id),
  phase            TEXT NOT NULL CHECK (phase IN ('full', 'delta')),
  reason           TEXT NOT NULL CHECK (reason IN ('first', 'replay', 'resync')),
  link             TEXT,
  generation       INTEGER NOT NULL,
  plan_fingerprint TEXT NOT NULL,
  updated_at       INTEGER NOT NULL,
  leased_by        INTEGER REFERENCES run (id) ON DELETE SET NULL,
  not_before       INTEGER NOT NULL DEFAULT 0,
  attempts         INTEGER NOT NULL DEFAULT 0,
  last_error       TEXT
) STRICT;

-- AUTOINCREMENT: a number is never used twice, so that a late answer cannot meet another operation's row.
CREATE TABLE outbox (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  mapping      INTEGER NOT NULL REFERENCES mapping (id),
  key          TEXT NOT NULL,
  source_id    TEXT NOT NULL,
  op           TEXT NOT NULL CHECK (op IN ('upsert', 'delete', 'refetch')),
  payload      TEXT,
  with_initial INTEGER NOT NULL,
  rewrite      INTEGER NOT NULL,
  uncertain    INTEGER NOT NULL DEFAULT 0,
  superseded   INTEGER NOT NULL DEFAULT 0,
  generation   INTEGER NOT NULL,
  change_no    INTEGER NOT NULL,
  state        TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'claimed')),
  claimed_by   INTEGER,
  attempts     INTEGER NOT NULL DEFAULT 0,
  not_before   INTEGER NOT NULL DEFAULT 0,
  last_error   TEXT,
  enqueued_at  INTEGER NOT NULL,
  CHECK ((op = 'upsert') = (payload IS NOT NULL)),
  CHECK ((state = 'claimed') = (claimed_by IS NOT NULL))
) STRICT;
-- At most one waiting and one claimed operation per target record.
CREATE UNIQUE INDEX outbox_key ON outbox (mapping, key, state);
CREATE INDEX outbox_source ON outbox (mapping, source_id);
CREATE INDEX outbox_due ON outbox (mapping, seq) WHERE state = 'ready' AND not_before = 0;
CREATE INDEX outbox_later ON outbox (mapping, not_before) WHERE state = 'ready' AND not_before > 0;
CREATE INDEX outbox_claimed ON outbox (mapping) WHERE state = 'claimed';
CREATE INDEX outbox_refetch ON outbox (mapping, source_id) WHERE op = 'refetch';

-- The slot of a target path in the fingerprints; given once, never changed.
CREATE TABLE target_path (
  mapping INTEGER NOT NULL REFERENCES mapping (id),
  slot    INTEGER NOT NULL,
  path    TEXT NOT NULL,
  PRIMARY KEY (mapping, slot),
  UNIQUE (mapping, path)
) STRICT, WITHOUT ROWID;

-- doubtful: something may have been written whose answer was never seen, so the fingerprints say nothing.
CREATE TABLE ledger (
  mapping      INTEGER NOT NULL REFERENCES mapping (id),
  key          TEXT NOT NULL,
  source_id    TEXT NOT NULL,
  fingerprints BLOB NOT NULL,
  doubtful     INTEGER NOT NULL DEFAULT 0,
  generation   INTEGER NOT NULL,
  written_at   INTEGER NOT NULL,
  PRIMARY KEY (mapping, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_source ON ledger (mapping, source_id);

CREATE TABLE dead_letter (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  mapping      INTEGER NOT NULL REFERENCES mapping (id),
  key          TEXT,
  source_id    TEXT NOT NULL,
  operation    TEXT NOT NULL CHECK (operation IN ('upsert', 'delete', 'refetch')),
  code         TEXT NOT NULL,
  message      TEXT NOT NULL,
  field        TEXT,
  file         TEXT,
  line         INTEGER,
  column_no    INTEGER,
  request      TEXT,
  status       INTEGER,
  response     TEXT,
  run_id       INTEGER REFERENCES run (id) ON DELETE SET NULL,
  created_at   INTEGER NOT NULL,
  attempts     INTEGER NOT NULL,
  with_initial INTEGER NOT NULL,
  change_no    INTEGER NOT NULL,
  retry_at     INTEGER,
  UNIQUE (mapping, source_id)
) STRICT;
