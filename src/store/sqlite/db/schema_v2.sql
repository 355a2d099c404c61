-- Format 2: what each API was sent on a day (days since 1970, UTC), for budgets that outlive a run.
CREATE TABLE usage (day INTEGER NOT NULL, api TEXT NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (day, api)) STRICT, WITHOUT ROWID;
