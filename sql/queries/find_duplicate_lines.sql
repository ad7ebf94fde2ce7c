-- SKUs that a snapshot has more than once: the first and the last line of each.
SELECT sku, min(line) AS first_line, max(line) AS last_line
FROM snapshot_line GROUP BY sku HAVING count(*) > 1 ORDER BY first_line LIMIT $1
