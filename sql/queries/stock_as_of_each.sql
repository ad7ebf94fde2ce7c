-- What of each SKU was there at a time of its own: what is there now, without what happened since.
-- A move's target may be in another warehouse.
SELECT
    given.sku,
    (coalesce(stock.available + stock.locked, 0) - coalesce(since.on_hand, 0))::bigint AS on_hand,
    (coalesce(stock.damaged, 0) - coalesce(since.damaged, 0))::bigint AS damaged
FROM unnest($2::text[], $3::timestamptz[]) AS given (sku, at)
LEFT JOIN stock ON stock.sku = given.sku AND stock.warehouse = $1
CROSS JOIN LATERAL (
    SELECT
        sum(change.quantity) FILTER (WHERE change.place IN ('available', 'locked')) AS on_hand,
        sum(change.quantity) FILTER (WHERE change.place = 'damaged') AS damaged
    FROM move
    CROSS JOIN LATERAL (VALUES
        (move.warehouse, move.source, -move.quantity),
        (coalesce(move.to_warehouse, move.warehouse), move.target, move.quantity)
    ) AS change (warehouse, place, quantity)
    WHERE move.sku = given.sku AND change.warehouse = $1 AND move.occurred_at > given.at
) AS since
