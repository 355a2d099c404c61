-- Format 5: the state may belong to any number of systems. Which ones exist is the program's to say (src/system.rs).

CREATE TABLE environment_5 (
  side         TEXT PRIMARY KEY,
  address      TEXT NOT NULL,
  organization TEXT,
  bound_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO environment_5 (side, address, organization, bound_at) SELECT side, address, organization, bound_at FROM environment;
DROP TABLE environment;
ALTER TABLE environment_5 RENAME TO environment;
