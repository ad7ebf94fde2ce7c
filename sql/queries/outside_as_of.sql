-- What of a SKU was outside at a time, less what came from there: the last balance recorded by then, with the moves
-- after it that had happened, without those up to it that happened later.
SELECT
    coalesce(sum(part.supplier), 0)::bigint AS supplier, coalesce(sum(part.customer), 0)::bigint AS customer,
    coalesce(sum(part.adjustment), 0)::bigint AS adjustment
FROM (
    SELECT coalesce(max(piece.upto), 0) AS upto FROM pieces(:sku) AS piece
    WHERE piece.recorded_at <= CAST(:at AS timestamptz)
) AS base
CROSS JOIN LATERAL (
    SELECT supplier, customer, adjustment FROM balance
    WHERE balance.sku = :sku AND balance.version = base.upto
    UNION ALL
    SELECT
        CASE WHEN change.place = 'supplier' THEN change.quantity ELSE 0 END,
        CASE WHEN change.place = 'customer' THEN change.quantity ELSE 0 END,
        CASE WHEN change.place = 'adjustment' THEN change.quantity ELSE 0 END
    FROM pieces(:sku) AS piece
    CROSS JOIN LATERAL (
        SELECT source, target, quantity FROM move
        WHERE move.sku = :sku AND move.version > piece.since AND move.version <= piece.upto
            AND move.occurred_at <= :at AND piece.upto > base.upto AND piece.occurred_from <= :at
        UNION ALL
        SELECT source, target, -quantity AS quantity FROM move
        WHERE move.sku = :sku AND move.version > piece.since AND move.version <= piece.upto
            AND move.occurred_at > :at AND piece.upto <= base.upto AND piece.occurred_to > :at
    ) AS moved
    CROSS JOIN LATERAL (VALUES (moved.source, -moved.quantity), (moved.target, moved.quantity))
        AS change (place, quantity)
    WHERE change.place IN ('supplier', 'customer', 'adjustment')
) AS part
