-- Ids that the hot store must remember: those used after the horizon began, and those of open locks.
SELECT event.op, event.fingerprint, event.epoch, event.n, event.lock
FROM event
WHERE event.shard = :shard AND event.op IS NOT NULL
    AND (event.recorded_at > :since OR event.lock_id IN (
        SELECT lock.lock_id FROM lock WHERE lock.status IN ('held', 'confirmed', 'partly_deducted')
    ))
ORDER BY event.epoch, event.n
