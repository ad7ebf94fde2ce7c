-- The last event recorded before a time.
SELECT epoch, n, tip FROM event WHERE shard = $1 AND recorded_at < $2 ORDER BY epoch DESC, n DESC LIMIT 1
