SELECT epoch, n, tip, (extract(epoch FROM recorded_at) * 1000)::bigint AS recorded_at_ms FROM position WHERE shard = $1
