-- Format 10: opt-outs per topic, as subscriptions of a profile to a service. In these workflows the bits are places of services, not of
-- Campaign's attributes.

-- The place of a service, by its name. A place is not used for another service as long as there is a free one: rows have bits of it.
CREATE TABLE optout_topic (
  mapping INTEGER NOT NULL REFERENCES mapping (id),
  place   INTEGER NOT NULL,
  service TEXT NOT NULL,
  PRIMARY KEY (mapping, place),
  UNIQUE (mapping, service)
) STRICT, WITHOUT ROWID;

-- newborn: topics in which the profile begins with what the contact consents to, because the mapping has just made it. born: the number of
-- the change with which it was noted, so that an answer that knows nothing of it does not take it away.
ALTER TABLE optout ADD COLUMN newborn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE optout ADD COLUMN born INTEGER NOT NULL DEFAULT 0;
