SELECT coalesce(max(epoch), 0) AS epoch FROM position WHERE shard = $1
