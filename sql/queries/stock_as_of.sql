-- What was there at a time: what is there now, without what happened since.
-- A move's target may be in another warehouse.
SELECT
    given.sku,
    (coalesce(stock.available + stock.locked, 0) - coalesce(since.on_hand, 0))::bigint AS on_hand,
    (coalesce(stock.damaged, 0) - coalesce(since.damaged, 0))::bigint AS damaged
FROM unnest(CAST(:skus AS text[])) AS given (sku)
LEFT JOIN stock ON stock.sku = given.sku AND stock.warehouse = :warehouse
CROSS JOIN LATERAL (
    SELECT
        sum(change.quantity) FILTER (WHERE change.place IN ('available', 'locked')) AS on_hand,
        sum(change.quantity) FILTER (WHERE change.place = 'damaged') AS damaged
    FROM move
    CROSS JOIN LATERAL (VALUES
        (move.warehouse, move.source, -move.quantity),
        (coalesce(move.to_warehouse, move.warehouse), move.target, move.quantity)
    ) AS change (warehouse, place, quantity)
    WHERE move.sku = given.sku AND change.warehouse = :warehouse AND move.occurred_at > :at
) AS since
