-- Where `locked` is not what the open locks hold and the open transfers have still to ship.
SELECT sku, warehouse, coalesce(stock.locked, 0) AS locked, coalesce(held.units, 0) AS held
FROM (
    SELECT sku, warehouse, sum(units) AS units FROM (
        SELECT sku, warehouse, quantity - deducted AS units FROM lock_line
        WHERE status IN ('held', 'confirmed', 'partly_deducted')
        UNION ALL
        SELECT sku, source AS warehouse, quantity - shipped - cancelled AS units FROM transfer_line
        WHERE status IN ('requested', 'partly_shipped')
    ) AS promised
    GROUP BY sku, warehouse
) AS held
FULL JOIN stock USING (sku, warehouse)
WHERE coalesce(stock.locked, 0) <> coalesce(held.units, 0)
ORDER BY sku, warehouse
