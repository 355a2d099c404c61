-- Format 3, exports: what a flow has read of the files on the SFTP server. `position` is JSON, of the reader's own making.
CREATE TABLE export (
  flow     TEXT NOT NULL,
  name     TEXT NOT NULL,
  size     INTEGER NOT NULL,
  modified INTEGER NOT NULL,
  position TEXT NOT NULL,
  read_at  INTEGER NOT NULL,
  PRIMARY KEY (flow, name)
) STRICT, WITHOUT ROWID;

-- Format 3, privacy: the records of persons who were forgotten, by a keyed hash of their id; they are not taken in again.
CREATE TABLE forgotten (id_hash INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
