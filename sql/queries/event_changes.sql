-- What one event added to a warehouse and took from it, by SKU. A move's target may be in another warehouse.
SELECT
    move.sku,
    coalesce(sum(change.quantity) FILTER (WHERE change.place IN ('available', 'locked')), 0)::bigint AS on_hand,
    coalesce(sum(change.quantity) FILTER (WHERE change.place = 'damaged'), 0)::bigint AS damaged
FROM move
CROSS JOIN LATERAL (VALUES
    (move.warehouse, move.source, -move.quantity),
    (coalesce(move.to_warehouse, move.warehouse), move.target, move.quantity)
) AS change (warehouse, place, quantity)
WHERE move.epoch = :epoch AND move.n = :n AND change.warehouse = :warehouse
GROUP BY move.sku
