-- Notes how far a memory was seen to be.
INSERT INTO seen (shard, epoch, n) VALUES ($1, $2, $3)
ON CONFLICT (shard, epoch) DO UPDATE SET n = excluded.n, seen_at = excluded.seen_at WHERE seen.n < excluded.n
