-- Format 6: notifications of a system's webhooks.

CREATE TABLE notification (
  seq         INTEGER PRIMARY KEY,
  event       TEXT NOT NULL,
  resource    TEXT NOT NULL,
  changed     TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  handled_at  INTEGER,
  UNIQUE (event, resource, changed)
) STRICT;
CREATE INDEX notification_waiting ON notification (seq) WHERE handled_at IS NULL;
CREATE INDEX notification_resource ON notification (resource);
