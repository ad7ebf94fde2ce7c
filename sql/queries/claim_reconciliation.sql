-- The oldest one whose time has come, for one worker: the ledger has passed the position of its request.
SELECT number, reconciliation_id, warehouse, as_of, lines, counts_damaged, whole, totals
FROM reconciliation
WHERE status = 'running' AND ($1::text IS NULL OR reconciliation_id = $1)
    AND EXISTS (
        SELECT FROM position
        WHERE position.shard = reconciliation.shard
            AND (position.epoch, position.n) >= (reconciliation.epoch, reconciliation.n)
    )
ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
