SELECT DISTINCT part, subject FROM quarantine WHERE shard = $1 AND ended_at IS NULL
