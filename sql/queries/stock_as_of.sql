-- What was there at a time: what is there now, without what happened since.
SELECT
    given.sku,
    (coalesce(stock.available + stock.locked, 0) - coalesce(since.on_hand, 0))::bigint AS on_hand,
    (coalesce(stock.damaged, 0) - coalesce(since.damaged, 0))::bigint AS damaged
FROM unnest(CAST(:skus AS text[])) AS given (sku)
LEFT JOIN stock ON stock.sku = given.sku AND stock.warehouse = :warehouse
CROSS JOIN LATERAL (
    SELECT
        sum(move.quantity * ((move.target IN ('available', 'locked'))::int - (move.source IN ('available', 'locked'))::int))
            AS on_hand,
        sum(move.quantity * ((move.target = 'damaged')::int - (move.source = 'damaged')::int)) AS damaged
    FROM move WHERE move.sku = given.sku AND move.warehouse = :warehouse AND move.occurred_at > :at
) AS since
