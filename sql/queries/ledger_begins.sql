-- When the first event was recorded: before it, the ledger says nothing. By the primary key, not by reading them all.
SELECT (extract(epoch FROM recorded_at) * 1000)::bigint AS begins_at FROM event ORDER BY shard, epoch, n LIMIT 1
