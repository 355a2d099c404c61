-- The values of the upsert whose place a refetch has taken. What the refetch reads may leave fields out (`@present`, a branch of a
-- `when`); these keep the values that waited.
ALTER TABLE outbox ADD COLUMN waited TEXT;
