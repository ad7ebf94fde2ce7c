-- The ids that the hot store remembers: those used behind the cursor, and those of each lock and transfer that it remembers,
-- since that was opened; with those that events of the inbox are known by besides.
WITH at AS (
    SELECT forgotten_epoch AS epoch, forgotten_n AS n FROM position WHERE shard = $1
),
locks AS (
    SELECT DISTINCT ON (lock.lock_id) lock.lock_id, lock.opened_epoch, lock.opened_n FROM lock, at
    WHERE lock.shard = $1 AND remembers(lock.status, lock.changed_epoch, lock.changed_n, at.epoch, at.n)
    ORDER BY lock.lock_id, lock.opened_epoch DESC, lock.opened_n DESC
),
transfers AS (
    SELECT DISTINCT ON (transfer.transfer_id) transfer.transfer_id, transfer.opened_epoch, transfer.opened_n
    FROM transfer, at
    WHERE transfer.shard = $1 AND remembers(transfer.status, transfer.changed_epoch, transfer.changed_n, at.epoch, at.n)
    ORDER BY transfer.transfer_id, transfer.opened_epoch DESC, transfer.opened_n DESC
),
remembered AS (
    SELECT event.epoch, event.n, event.op, event.fingerprint, event.lock, event.document FROM event, at
    WHERE event.shard = $1 AND event.op IS NOT NULL AND (event.epoch, event.n) > (at.epoch, at.n)
    UNION
    SELECT event.epoch, event.n, event.op, event.fingerprint, event.lock, event.document
    FROM locks JOIN event ON event.lock_id = locks.lock_id
    WHERE event.shard = $1 AND event.op IS NOT NULL AND (event.epoch, event.n) >= (locks.opened_epoch, locks.opened_n)
    UNION
    SELECT event.epoch, event.n, event.op, event.fingerprint, event.lock, event.document
    FROM transfers JOIN event ON event.document_id = transfers.transfer_id AND event.document_kind = 'transfer'
    WHERE event.shard = $1 AND event.op IS NOT NULL AND (event.epoch, event.n) >= (transfers.opened_epoch, transfers.opened_n)
)
SELECT
    op, fingerprint, epoch, n, CASE WHEN op NOT LIKE 'event:%' THEN lock END AS lock,
    CASE WHEN op NOT LIKE 'event:%' THEN document END AS document
FROM remembered
UNION ALL
SELECT
    event_id.op, event_id.fingerprint, event_id.epoch, event_id.n, NULL,
    jsonb_build_object('op', concat_ws(' ', event_id.fingerprint, event_id.epoch || '-' || event_id.n, event_id.units)) AS document
FROM remembered JOIN event_id USING (epoch, n)
WHERE event_id.shard = $1
ORDER BY epoch, n
