-- Format 4, opt-outs: one-way flows towards Campaign, profiles that the mapping deletes, merged contacts.

-- approval: what was said about the differences that are held ('write' or 'leave'), until the next round has carried it out.
ALTER TABLE optout_flow ADD COLUMN approval TEXT CHECK (approval IN ('write', 'leave'));

-- held: opt-outs of Campaign that need approval before they are lifted, in a workflow from Dynamics to Campaign. lifting: consents that are perhaps being written to Campaign. c_no_later: no opt-out of the profile was set after
-- this time; NULL if c_out is. owed: opt-outs of a profile that the mapping has deleted, or of a contact that was merged into this one,
-- which this contact does not have yet. master: the contact that this one was merged into. passed: opt-outs that the master was given.
ALTER TABLE optout ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE optout ADD COLUMN lifting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE optout ADD COLUMN c_no_later INTEGER;
ALTER TABLE optout ADD COLUMN owed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE optout ADD COLUMN master TEXT;
ALTER TABLE optout ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
-- Format 3 does not say when an opt-out was set: only that it was before now.
UPDATE optout SET c_no_later = (CAST(strftime('%s', 'now') AS INTEGER) + 1) * 1000 WHERE c_out IS NOT NULL;
CREATE INDEX optout_held ON optout (mapping) WHERE held <> 0;

-- Opt-outs of profiles that a mapping has deleted, for the profile that it makes if the contact comes back. id_hash: a keyed hash of the
-- contact's id, so that nothing here names a person. out: bits in the order of Campaign's attributes.
CREATE TABLE optout_kept (
  mapping INTEGER NOT NULL REFERENCES mapping (id),
  id_hash INTEGER NOT NULL,
  out     INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (mapping, id_hash)
) STRICT, WITHOUT ROWID;
