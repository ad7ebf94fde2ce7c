-- The ids that events of the inbox told of, of the events whose own ids the hot store must remember; the newest last.
SELECT event_id.op, event_id.fingerprint, event_id.epoch, event_id.n, event_id.units
FROM event_id
JOIN event USING (shard, epoch, n, recorded_at)
WHERE event.shard = :shard AND event.op IS NOT NULL
    AND (event.recorded_at > :since OR event.lock_id IN (
        SELECT lock.lock_id FROM lock WHERE lock.status IN ('held', 'confirmed', 'partly_deducted')
    ) OR (event.document_kind = 'transfer' AND event.document_id IN (
        SELECT transfer.transfer_id FROM transfer
        WHERE transfer.status IN ('requested', 'partly_shipped', 'shipped')
    )))
    AND NOT (event_id.fingerprint = 'events' AND EXISTS (
        SELECT FROM event AS route WHERE route.op = event_id.op AND (route.epoch, route.n) > (event.epoch, event.n)
    ))
ORDER BY event_id.epoch, event_id.n
