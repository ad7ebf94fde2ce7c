-- The documents that the hot store remembers: those that were reported behind the cursor, and those of each lock and transfer
-- that it remembers, since that was opened.
WITH at AS (
    SELECT forgotten_epoch AS epoch, forgotten_n AS n FROM position WHERE shard = $1
),
opened AS (
    SELECT 'deduct:' || lock.lock_id AS family, lock.opened_epoch AS epoch, lock.opened_n AS n FROM lock, at
    WHERE lock.shard = $1 AND remembers(lock.status, lock.changed_epoch, lock.changed_n, at.epoch, at.n)
    UNION ALL
    SELECT kind.name || ':' || transfer.transfer_id, transfer.opened_epoch, transfer.opened_n
    FROM transfer CROSS JOIN at CROSS JOIN (VALUES ('transfer_ship'), ('transfer_receive')) AS kind (name)
    WHERE transfer.shard = $1 AND remembers(transfer.status, transfer.changed_epoch, transfer.changed_n, at.epoch, at.n)
),
owners AS (
    SELECT DISTINCT ON (family) family, epoch, n FROM opened ORDER BY family, epoch DESC, n DESC
)
SELECT document_sum.family, document_sum.sku, document_sum.sums
FROM owners JOIN document_sum USING (family)
WHERE document_sum.shard = $1 AND (document_sum.epoch, document_sum.n) > (owners.epoch, owners.n)
UNION ALL
SELECT document_sum.family, document_sum.sku, document_sum.sums
FROM document_sum JOIN (
    SELECT DISTINCT recent.family FROM document_sum AS recent, at
    WHERE recent.shard = $1 AND (recent.epoch, recent.n) > (at.epoch, at.n)
        AND split_part(recent.family, ':', 1) IN ('receipt', 'return', 'adjustment')
) AS own USING (family)
ORDER BY family, sku
