-- SKUs whose moves have a gap: versions count from 1, one a move, or on from those that were archived.
SELECT sku, moves.count, moves.highest, stock.version
FROM (
    SELECT sku, sum(known.count)::bigint AS count, max(known.highest) AS highest
    FROM (
        SELECT sku, count(*) AS count, max(version) AS highest FROM move GROUP BY sku
        UNION ALL
        SELECT sku, max(version), max(version) FROM balance_base GROUP BY sku
    ) AS known
    GROUP BY sku
) AS moves
FULL JOIN (SELECT sku, max(version) AS version FROM stock GROUP BY sku) AS stock USING (sku)
WHERE (moves.count, moves.highest) IS DISTINCT FROM (stock.version, stock.version)
ORDER BY sku
