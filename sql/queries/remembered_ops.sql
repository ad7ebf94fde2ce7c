-- Ids that the hot store must remember: those used after the horizon began, and those of open locks and transfers;
-- with those that events of the inbox told of. The id of such an event has no answer of its own.
WITH remembered AS (
    SELECT
        event.op, event.fingerprint, event.epoch, event.n,
        CASE WHEN event.op NOT LIKE 'event:%' THEN event.lock END AS lock,
        CASE WHEN event.op NOT LIKE 'event:%' THEN event.document END AS document
    FROM event
    WHERE event.shard = $1 AND event.op IS NOT NULL
        AND (event.recorded_at > $2 OR event.lock_id IN (
            SELECT lock.lock_id FROM lock WHERE lock.status IN ('held', 'confirmed', 'partly_deducted')
        ) OR (event.document_kind = 'transfer' AND event.document_id IN (
            SELECT transfer.transfer_id FROM transfer
            WHERE transfer.status IN ('requested', 'partly_shipped', 'shipped')
        )))
)
SELECT op, fingerprint, epoch, n, lock, document FROM remembered
UNION ALL
SELECT
    event_id.op, event_id.fingerprint, event_id.epoch, event_id.n, NULL,
    jsonb_build_object('op', concat_ws(' ', event_id.fingerprint, event_id.epoch || '-' || event_id.n, event_id.units)) AS document
FROM remembered JOIN event_id USING (epoch, n)
WHERE event_id.shard = $1
ORDER BY epoch, n
