-- The next SKUs in order, up to one that has the moves of a slice full: a SKU's version says how many it has.
SELECT sku FROM (
    SELECT sku, sum(moves) OVER (ORDER BY sku) - moves AS moves_before
    FROM (
        SELECT sku, max(version) AS moves FROM stock WHERE shard = :shard AND sku > :after
        GROUP BY sku ORDER BY sku LIMIT :skus_max
    ) AS following
) AS slice
WHERE moves_before < :moves_max
ORDER BY sku
