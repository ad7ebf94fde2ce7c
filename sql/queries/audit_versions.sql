-- SKUs whose moves have a gap: versions count from 1, one a move.
SELECT sku, moves.count, moves.highest, stock.version
FROM (SELECT sku, count(*) AS count, max(version) AS highest FROM move GROUP BY sku) AS moves
FULL JOIN (SELECT sku, max(version) AS version FROM stock GROUP BY sku) AS stock USING (sku)
WHERE (moves.count, moves.highest) IS DISTINCT FROM (stock.version, stock.version)
ORDER BY sku
