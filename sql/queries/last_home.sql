SELECT home FROM epoch WHERE shard = $1 ORDER BY epoch DESC LIMIT 1
