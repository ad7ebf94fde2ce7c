-- Where `in_transit` is not what the open transfers have shipped and not yet received.
SELECT sku, warehouse, coalesce(stock.in_transit, 0) AS in_transit, coalesce(due.units, 0) AS due
FROM (
    SELECT sku, destination AS warehouse, sum(shipped - received - damaged - lost) AS units FROM transfer_line
    WHERE status IN ('partly_shipped', 'shipped')
    GROUP BY sku, destination
) AS due
FULL JOIN stock USING (sku, warehouse)
WHERE coalesce(stock.in_transit, 0) <> coalesce(due.units, 0)
ORDER BY sku, warehouse
