-- Format 3, optouts: what both sides said last of a person's opt-outs. Opt-outs are bits in the order of Campaign's attributes.
-- Nothing here names a person but the contact's id.

-- stage: 'baseline' until both sides have been read once, 'held' while their differences wait for a yes, then 'live'.
-- contacts_at: the end of the first reading of all contacts. listed_at: the end of the first listing of all profiles. polled_at: the start of the last complete reading of profiles, by our clock.
-- high_water: the latest change of a profile that was seen, by Campaign's clock.
CREATE TABLE optout_flow (
  mapping     INTEGER PRIMARY KEY REFERENCES mapping (id),
  pairs       TEXT NOT NULL,
  stage       TEXT NOT NULL CHECK (stage IN ('baseline', 'held', 'live')),
  accepted_at INTEGER,
  contacts_at INTEGER,
  listed_at   INTEGER,
  polled_at   INTEGER,
  full_at     INTEGER,
  high_water  INTEGER,
  note        TEXT,
  warning     TEXT
) STRICT;

-- d_…: the contact, NULL while it was not seen; c_…: the profile, likewise. ours: opt-outs in Dynamics that we brought there.
-- consents: JSON, bit number to the latest known time at which Campaign's attribute was set to false.
-- raising, lowering: what is perhaps being written to Dynamics.
CREATE TABLE optout (
  mapping    INTEGER NOT NULL REFERENCES mapping (id),
  source_id  TEXT NOT NULL,
  d_out      INTEGER,
  d_ours     INTEGER NOT NULL DEFAULT 0,
  d_changed  INTEGER,
  d_version  TEXT,
  c_out      INTEGER,
  c_seen     INTEGER,
  c_created  INTEGER,
  consents   TEXT,
  fresh      INTEGER NOT NULL DEFAULT 0,
  look       INTEGER NOT NULL DEFAULT 0,
  raising    INTEGER NOT NULL DEFAULT 0,
  lowering   INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (mapping, source_id),
  CHECK ((d_out IS NULL) = (d_changed IS NULL)),
  CHECK ((c_out IS NULL) = (c_seen IS NULL))
) STRICT, WITHOUT ROWID;
