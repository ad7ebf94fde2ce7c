-- SKUs that were booked or ordered and have no key yet: a version from before there were keys did that, while it was replaced.
SELECT sku FROM (SELECT sku FROM stock UNION SELECT sku FROM purchase_order_line) AS known
WHERE NOT EXISTS (SELECT FROM sku_key WHERE sku_key.sku = known.sku) ORDER BY sku LIMIT $1
