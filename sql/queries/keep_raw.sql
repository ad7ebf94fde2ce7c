-- The columns of an event that Postgres refused stay in its raw text only.
UPDATE quarantine SET ended_at = now(), ended_as = 'kept raw'
WHERE shard = $1 AND epoch = $2 AND n = $3 AND part = 'event'
