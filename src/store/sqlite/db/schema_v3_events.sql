-- Format 3, events: marketing events on their way to timelines. `payload` is JSON, of the runner's own making; it goes with the row as
-- soon as the event is written. A dead row belongs to a dead letter, whose `source_id` is its activity.
CREATE TABLE event (
  -- A number is never given twice: the writer goes by them.
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  flow     INTEGER NOT NULL REFERENCES mapping (id),
  activity TEXT NOT NULL,
  contact  TEXT NOT NULL,
  kind     TEXT NOT NULL,
  payload  TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  dead     INTEGER NOT NULL DEFAULT 0,
  -- The run in whose hands it is; means something as long as that run goes on.
  claimed_by INTEGER,
  taken_at INTEGER NOT NULL,
  UNIQUE (flow, activity)
) STRICT;
CREATE INDEX event_waiting ON event (flow, seq) WHERE NOT dead;
CREATE INDEX event_contact ON event (contact);

-- Events that were taken in before, by keyed hashes of what tells them apart. `mark` is the day of taking in times four, and the kind of
-- hash: 0 of a log's id, 1 of the values of an event without one, 2 of the values of one that has one.
CREATE TABLE event_seen (hash INTEGER PRIMARY KEY, mark INTEGER NOT NULL) STRICT;

-- Where a flow stands in the journal. `read_up_to` is the latest time of an event that was read.
CREATE TABLE event_cursor (
  flow        INTEGER PRIMARY KEY REFERENCES mapping (id),
  link        TEXT,
  quiet_until INTEGER NOT NULL DEFAULT 0,
  read_up_to  INTEGER,
  gone        INTEGER NOT NULL DEFAULT 0,
  pruned_on   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What the journal did not keep long enough: from the latest event before to the first one after, as far as they are known.
CREATE TABLE event_gap (
  id         INTEGER PRIMARY KEY,
  flow       INTEGER NOT NULL REFERENCES mapping (id),
  noticed_at INTEGER NOT NULL,
  from_at    INTEGER,
  until_at   INTEGER
) STRICT;
