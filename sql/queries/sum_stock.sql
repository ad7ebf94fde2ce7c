-- How many SKUs there are, and all their units, buffers among them.
SELECT
    (SELECT count(*) FROM (SELECT FROM stock WHERE shard = $1 GROUP BY sku) AS each) AS skus,
    (SELECT coalesce(sum(available + locked + damaged + in_transit + buffer), 0)::bigint FROM stock WHERE shard = $1) AS units
