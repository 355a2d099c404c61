-- Format 4, time: records whose filter answers otherwise at an instant, and complete comparisons with the source.

-- A record to be evaluated again although nobody changes it. due_at: the first millisecond at which the filter gives another answer.
CREATE TABLE due_record (
  mapping   INTEGER NOT NULL REFERENCES mapping (id),
  source_id TEXT NOT NULL,
  due_at    INTEGER NOT NULL,
  PRIMARY KEY (mapping, source_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX due_record_at ON due_record (mapping, due_at);

-- full_at: when the last full load was complete, NULL if no version that notes it has completed one.
ALTER TABLE cursor ADD COLUMN full_at INTEGER;
