-- Ids that the hot store must remember: those used after the horizon began, and those of open locks and transfers.
SELECT event.op, event.fingerprint, event.epoch, event.n, event.lock, event.document
FROM event
WHERE event.shard = $1 AND event.op IS NOT NULL
    AND (event.recorded_at > $2 OR event.lock_id IN (
        SELECT lock.lock_id FROM lock WHERE lock.status IN ('held', 'confirmed', 'partly_deducted')
    ) OR (event.document_kind = 'transfer' AND event.document_id IN (
        SELECT transfer.transfer_id FROM transfer
        WHERE transfer.status IN ('requested', 'partly_shipped', 'shipped')
    )))
ORDER BY event.epoch, event.n
