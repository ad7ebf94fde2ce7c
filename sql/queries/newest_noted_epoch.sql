SELECT coalesce(max(epoch), 0) AS epoch FROM epoch WHERE shard = $1
