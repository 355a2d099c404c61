-- Format 6: pairs of records that are kept in step both ways.

-- A referral and its opportunity; either id may be unknown. `anchor` is the id under which the pair waits in the outbox and has its dead
-- letter: it never changes. `look` has the sides that something was told of (1 left, 2 right), `looking` those that a worker looks at.
CREATE TABLE pair (
  id            INTEGER PRIMARY KEY,
  mapping       INTEGER NOT NULL REFERENCES mapping (id),
  anchor        TEXT NOT NULL,
  left_id       TEXT,
  right_id      TEXT,
  left_version  TEXT,
  right_version TEXT,
  left_prints   BLOB NOT NULL DEFAULT x'',
  right_prints  BLOB NOT NULL DEFAULT x'',
  -- What a side shows if a write that was sent, and whose answer was not noted, took effect.
  left_sent     BLOB NOT NULL DEFAULT x'',
  right_sent    BLOB NOT NULL DEFAULT x'',
  look          INTEGER NOT NULL DEFAULT 0,
  looking       INTEGER NOT NULL DEFAULT 0,
  -- Until when a create that was sent, and whose answer was not seen, may still take effect.
  create_until  INTEGER,
  CHECK (left_id IS NOT NULL OR right_id IS NOT NULL),
  UNIQUE (mapping, anchor)
) STRICT;
CREATE UNIQUE INDEX pair_left ON pair (mapping, left_id) WHERE left_id IS NOT NULL;
CREATE UNIQUE INDEX pair_right ON pair (mapping, right_id) WHERE right_id IS NOT NULL;

-- Where a two-way mapping stands in each of its two systems.
CREATE TABLE pair_cursor (
  mapping INTEGER NOT NULL REFERENCES mapping (id),
  side    TEXT NOT NULL CHECK (side IN ('left', 'right')),
  plan    TEXT NOT NULL,
  link    TEXT,
  PRIMARY KEY (mapping, side)
) STRICT;
