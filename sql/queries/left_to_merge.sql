-- What is still in a warehouse, or names it: SKUs, open locks and open transfers, at most $2 of each kind.
(
    SELECT 'lock' AS kind, lock_id AS id, '' AS source, '' AS destination FROM lock_line
    WHERE status IN ('held', 'confirmed', 'partly_deducted') AND warehouse = $1 GROUP BY lock_id ORDER BY lock_id LIMIT $2
)
UNION ALL
(
    SELECT 'transfer', transfer_id, record ->> 'a', record ->> 'b' FROM transfer
    WHERE status IN ('requested', 'partly_shipped', 'shipped') AND $1 IN (record ->> 'a', record ->> 'b')
    ORDER BY transfer_id LIMIT $2
)
UNION ALL
(
    SELECT 'sku', sku, '', '' FROM stock
    WHERE warehouse = $1 AND (available <> 0 OR damaged <> 0 OR buffer <> 0) ORDER BY sku LIMIT $2
)
