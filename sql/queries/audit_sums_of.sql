-- Where the projection of some SKUs is not what their moves come to, or has another version; in one snapshot.
SELECT
    given.sku, moved.warehouse, moved.place, moved.projected, moved.units
FROM unnest(CAST(:skus AS text[])) AS given (sku)
CROSS JOIN LATERAL (
    SELECT half.warehouse, half.place, sum(half.projected)::bigint AS projected, sum(half.units)::bigint AS units
    FROM (
        SELECT
            coalesce(to_warehouse, warehouse) AS warehouse, target::text AS place, 0 AS projected, quantity AS units
        FROM move WHERE move.sku = given.sku
        UNION ALL
        SELECT warehouse, source::text, 0, -quantity FROM move WHERE move.sku = given.sku
        UNION ALL
        SELECT balance_base.warehouse, start.place, 0, start.units FROM balance_base
        CROSS JOIN LATERAL (VALUES
            ('available', available), ('locked', locked), ('damaged', damaged), ('in_transit', in_transit)
        ) AS start (place, units)
        WHERE balance_base.sku = given.sku
        UNION ALL
        SELECT stock.warehouse, there.place, there.units, 0 FROM stock
        CROSS JOIN LATERAL (VALUES
            ('available', available), ('locked', locked), ('damaged', damaged), ('in_transit', in_transit)
        ) AS there (place, units)
        WHERE stock.sku = given.sku
        UNION ALL
        SELECT '', 'version', max(stock.version), 0 FROM stock WHERE stock.sku = given.sku
        UNION ALL
        SELECT '', 'version', 0, count(*) FROM move WHERE move.sku = given.sku
        UNION ALL
        SELECT '', 'version', 0, max(balance_base.version) FROM balance_base WHERE balance_base.sku = given.sku
    ) AS half
    WHERE half.place IN ('available', 'locked', 'damaged', 'in_transit', 'version')
    GROUP BY half.warehouse, half.place
) AS moved
WHERE moved.projected <> moved.units
ORDER BY given.sku, moved.warehouse, moved.place
