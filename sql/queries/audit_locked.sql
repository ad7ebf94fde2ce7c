-- Where `locked` is not what the open locks hold.
SELECT sku, warehouse, coalesce(stock.locked, 0) AS locked, coalesce(held.units, 0) AS held
FROM (
    SELECT sku, warehouse, sum(quantity - deducted) AS units FROM lock_line
    WHERE status IN ('held', 'confirmed', 'partly_deducted')
    GROUP BY sku, warehouse
) AS held
FULL JOIN stock USING (sku, warehouse)
WHERE coalesce(stock.locked, 0) <> coalesce(held.units, 0)
ORDER BY sku, warehouse
