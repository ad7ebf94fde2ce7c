UPDATE position SET epoch = $2, n = $3, tip = $4, recorded_at = $5 WHERE shard = $1
