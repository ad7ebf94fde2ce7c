-- What one event added to a warehouse and took from it, by SKU. A move's target may be in another warehouse. What a count
-- found as it was left no move: the event names it.
SELECT
    known.sku,
    coalesce(sum(known.quantity) FILTER (WHERE known.place IN ('available', 'locked')), 0)::bigint AS on_hand,
    coalesce(sum(known.quantity) FILTER (WHERE known.place = 'damaged'), 0)::bigint AS damaged
FROM (
    SELECT move.sku, change.place, change.quantity
    FROM move
    CROSS JOIN LATERAL (VALUES
        (move.warehouse, move.source, -move.quantity),
        (coalesce(move.to_warehouse, move.warehouse), move.target, move.quantity)
    ) AS change (warehouse, place, quantity)
    WHERE move.epoch = :epoch AND move.n = :n AND change.warehouse = :warehouse
    UNION ALL
    SELECT agreed.sku, NULL, 0
    FROM event CROSS JOIN LATERAL jsonb_object_keys(event.document -> 'skus') AS agreed (sku)
    WHERE event.epoch = :epoch AND event.n = :n AND document_kind = 'count' AND document_id = :warehouse
) AS known
GROUP BY known.sku
