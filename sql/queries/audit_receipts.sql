-- Where what is noted as come in for an order is not what its events moved; of events that were not archived.
SELECT
    purchase_order_id, sku, noted.good, noted.damaged, moved.good AS good_moved, moved.damaged AS damaged_moved
FROM (
    SELECT purchase_order_id, sku, sum(good) AS good, sum(damaged) AS damaged
    FROM purchase_order_receipt
    WHERE (epoch, n) > ALL (SELECT archived_month.epoch, archived_month.n FROM archived_month)
    GROUP BY purchase_order_id, sku
) AS noted
FULL JOIN (
    SELECT
        event.document_id AS purchase_order_id, move.sku,
        coalesce(sum(way.units) FILTER (WHERE 'available' IN (move.source, move.target)), 0) AS good,
        coalesce(sum(way.units) FILTER (WHERE 'damaged' IN (move.source, move.target)), 0) AS damaged
    FROM event JOIN move USING (shard, epoch, n)
    CROSS JOIN LATERAL (SELECT CASE
        WHEN move.source = 'supplier' THEN move.quantity WHEN move.target = 'supplier' THEN -move.quantity ELSE 0
    END AS units) AS way
    WHERE event.kind = 'receive' AND event.document_kind = 'purchase_order'
    GROUP BY 1, 2
) AS moved USING (purchase_order_id, sku)
WHERE (noted.good, noted.damaged) IS DISTINCT FROM (moved.good, moved.damaged)
ORDER BY purchase_order_id, sku
