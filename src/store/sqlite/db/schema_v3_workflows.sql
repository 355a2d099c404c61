-- Format 3, workflows: what is started and stopped by itself, and how it stands. `wish` is what people asked for, `state` what is;
-- `request` goes up with every wish that is to have an effect, so that a stop and a start between two looks are both seen.
CREATE TABLE workflow (
  name        TEXT PRIMARY KEY,
  wish        TEXT NOT NULL DEFAULT 'run' CHECK (wish IN ('run', 'stop')),
  request     INTEGER NOT NULL DEFAULT 0,
  replay      INTEGER NOT NULL DEFAULT 0,
  state       TEXT NOT NULL DEFAULT 'STOPPED' CHECK (state IN ('RUNNING', 'STOPPED', 'STARTING', 'FAILED')),
  since       INTEGER NOT NULL,
  reason      TEXT,
  restart_due TEXT,
  round_began INTEGER,
  round_ended INTEGER,
  next_round  INTEGER,
  last_error  TEXT,
  error_at    INTEGER
) STRICT, WITHOUT ROWID;
