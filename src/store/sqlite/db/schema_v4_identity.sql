-- Format 4, identity: which services the state belongs to, and what a workflow is apart from its name.

-- One row for each side, written by the first run. organization: Dynamics' organization id, Campaign's IMS organization if the
-- project names it.
CREATE TABLE environment (
  side         TEXT PRIMARY KEY CHECK (side IN ('dynamics', 'campaign')),
  address      TEXT NOT NULL,
  organization TEXT,
  bound_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- identity: kind, source, target and key, as the last run had them; NULL if no run has noted it yet.
ALTER TABLE mapping ADD COLUMN identity TEXT;
-- origin: the name before the first rename; the ids of events' activities are derived from it. NULL: never renamed.
ALTER TABLE mapping ADD COLUMN origin TEXT;

