-- Held locks whose expiry was promised by an event of a time to come, and how long they were to be held from then on.
-- What else happened to a lock says nothing of that: it may be changed once the clock is right again, or before it
-- was wrong have got its expiry. Times in an epoch never run backwards, so its last event tells whether there is any.
WITH recent AS (
    SELECT DISTINCT epoch FROM epoch WHERE shard = :shard ORDER BY epoch DESC LIMIT :epochs_max
), ahead AS (
    SELECT recent.epoch FROM recent CROSS JOIN LATERAL (
        SELECT recorded_at FROM event
        WHERE event.shard = :shard AND event.epoch = recent.epoch ORDER BY n DESC LIMIT 1
    ) AS last
    WHERE last.recorded_at > :after
)
SELECT DISTINCT ON (lock.lock_id)
    lock.lock_id, (lock.record ->> 'x')::bigint AS expires_at,
    ((lock.record ->> 'x')::bigint - extract(epoch FROM event.recorded_at) * 1000)::bigint AS ttl_ms
FROM ahead
JOIN event ON event.shard = :shard AND event.epoch = ahead.epoch AND event.recorded_at > :after
JOIN lock ON lock.lock_id = event.lock_id AND lock.record ->> 'x' = event.lock ->> 'x'
WHERE (event.kind IN ('lock', 'exchange', 'extend', 'reopen') OR (event.kind = 'replace' AND event.reason = 'renewed'))
    AND lock.shard = :shard AND lock.status = 'held'
ORDER BY lock.lock_id, event.epoch DESC, event.n DESC LIMIT :locks_max
