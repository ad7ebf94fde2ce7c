-- Held locks that changed after a time to come, and how long they were to be held from then on.
SELECT lock_id, ((record ->> 'x')::bigint - extract(epoch FROM changed_at) * 1000)::bigint AS ttl_ms
FROM lock
WHERE shard = :shard AND changed_at > :after AND status = 'held' AND record ->> 'x' IS NOT NULL
ORDER BY changed_at LIMIT :locks_max
