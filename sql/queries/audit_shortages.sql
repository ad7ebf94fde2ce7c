-- Where the open cases are not what is short.
SELECT sku, warehouse, coalesce(shortage.units, 0) AS units, greatest(0, -coalesce(stock.available, 0)) AS short
FROM (SELECT * FROM shortage WHERE closed_at IS NULL) AS shortage
FULL JOIN (SELECT * FROM stock WHERE available < 0) AS stock USING (sku, warehouse)
WHERE coalesce(shortage.units, 0) <> greatest(0, -coalesce(stock.available, 0))
ORDER BY sku, warehouse
