-- The last counts of each SKU in each warehouse, oldest first.
SELECT sku, warehouse, json_agg(json_build_array((extract(epoch FROM counted_at) * 1000)::bigint, damaged) ORDER BY counted_at) AS counts
FROM (
    SELECT *, row_number() OVER (PARTITION BY sku, warehouse ORDER BY counted_at DESC) AS newest
    FROM counted WHERE shard = :shard
) AS ranked
WHERE newest <= :counts_max
GROUP BY sku, warehouse
