-- Where the projection is not what the moves come to, per SKU and warehouse; in one snapshot. Where moves were archived,
-- sums start at the balance that was written before.
WITH sums AS (
    SELECT
        sku, warehouse,
        coalesce(sum(units) FILTER (WHERE place = 'available'), 0) AS available,
        coalesce(sum(units) FILTER (WHERE place = 'locked'), 0) AS locked,
        coalesce(sum(units) FILTER (WHERE place = 'damaged'), 0) AS damaged,
        coalesce(sum(units) FILTER (WHERE place = 'in_transit'), 0) AS in_transit
    FROM (
        SELECT sku, coalesce(to_warehouse, warehouse) AS warehouse, target AS place, quantity AS units FROM move
        UNION ALL
        SELECT sku, warehouse, source AS place, -quantity AS units FROM move
        UNION ALL
        SELECT balance_base.sku, balance_base.warehouse, start.place, start.units FROM balance_base
        CROSS JOIN LATERAL (VALUES
            ('available'::place, available), ('locked', locked), ('damaged', damaged), ('in_transit', in_transit)
        ) AS start (place, units)
    ) AS half
    GROUP BY sku, warehouse
)
SELECT
    sku, warehouse,
    stock.available, stock.locked, stock.damaged, stock.in_transit,
    sums.available AS available_moved, sums.locked AS locked_moved,
    sums.damaged AS damaged_moved, sums.in_transit AS in_transit_moved
FROM stock FULL JOIN sums USING (sku, warehouse)
WHERE (stock.available, stock.locked, stock.damaged, stock.in_transit)
    IS DISTINCT FROM (sums.available, sums.locked, sums.damaged, sums.in_transit)
ORDER BY sku, warehouse
