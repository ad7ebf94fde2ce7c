-- The partitions of events that are in the ledger, by name; the name has the month.
SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'event'::regclass ORDER BY 1
