-- SKUs that a snapshot has more than once, with their first lines.
SELECT sku, (array_agg(line ORDER BY line))[1:5] AS lines
FROM snapshot_line GROUP BY sku HAVING count(*) > 1 ORDER BY min(line) LIMIT $1
