SELECT epoch, n, tip, recorded_at FROM position WHERE shard = $1
