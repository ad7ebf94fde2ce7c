-- What was there at a time, by SKU and warehouse: the first balance recorded after it (or what is there now), without
-- the moves up to there that happened later, and with the moves after it that had happened already.
-- A move's target may be in another warehouse.
SELECT
    given.sku, part.warehouse,
    sum(part.available)::bigint AS available, sum(part.locked)::bigint AS locked,
    sum(part.damaged)::bigint AS damaged, sum(part.in_transit)::bigint AS in_transit
FROM unnest(CAST(:skus AS text[])) AS given (sku)
CROSS JOIN LATERAL (
    SELECT min(piece.upto) AS upto FROM pieces(given.sku) AS piece WHERE piece.recorded_at > CAST(:at AS timestamptz)
) AS base
CROSS JOIN LATERAL (
    SELECT warehouse, available, locked, damaged, in_transit FROM balance
    WHERE balance.sku = given.sku AND balance.version = base.upto
    UNION ALL
    SELECT warehouse, available, locked, damaged, in_transit FROM stock
    WHERE stock.sku = given.sku AND base.upto = 9223372036854775807
    UNION ALL
    SELECT
        change.warehouse,
        CASE WHEN change.place = 'available' THEN change.quantity ELSE 0 END,
        CASE WHEN change.place = 'locked' THEN change.quantity ELSE 0 END,
        CASE WHEN change.place = 'damaged' THEN change.quantity ELSE 0 END,
        CASE WHEN change.place = 'in_transit' THEN change.quantity ELSE 0 END
    FROM pieces(given.sku) AS piece
    CROSS JOIN LATERAL (
        SELECT warehouse, to_warehouse, source, target, -quantity AS quantity FROM move
        WHERE move.sku = given.sku AND move.version > piece.since AND move.version <= piece.upto
            AND move.occurred_at > :at AND piece.upto <= base.upto AND piece.occurred_to > :at
        UNION ALL
        SELECT warehouse, to_warehouse, source, target, quantity FROM move
        WHERE move.sku = given.sku AND move.version > piece.since AND move.version <= piece.upto
            AND move.occurred_at <= :at AND piece.upto > base.upto AND piece.occurred_from <= :at
    ) AS moved
    CROSS JOIN LATERAL (VALUES
        (moved.warehouse, moved.source, -moved.quantity),
        (coalesce(moved.to_warehouse, moved.warehouse), moved.target, moved.quantity)
    ) AS change (warehouse, place, quantity)
    WHERE change.place IN ('available', 'locked', 'damaged', 'in_transit')
) AS part
WHERE CAST(:warehouse AS text) IS NULL OR part.warehouse = :warehouse
GROUP BY given.sku, part.warehouse
ORDER BY given.sku, part.warehouse
