-- The last counts of each SKU in each warehouse, oldest first; of some SKUs or all.
SELECT
    sku, warehouse,
    json_agg(json_build_array((extract(epoch FROM counted_at) * 1000)::bigint, damaged::int) ORDER BY counted_at) AS counts
FROM (
    SELECT *, row_number() OVER (PARTITION BY sku, warehouse ORDER BY counted_at DESC) AS newest
    FROM counted WHERE shard = $1 AND ($2::text[] IS NULL OR sku = ANY ($2::text[]))
) AS ranked
WHERE newest <= $3::int
GROUP BY sku, warehouse ORDER BY sku, warehouse
