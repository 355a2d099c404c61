//! What must survive: cursors, outbox, ledger, dead letters, runs, in one SQLite file.
