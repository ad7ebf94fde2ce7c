SELECT sku, warehouse, version, available, locked, damaged, in_transit, buffer
FROM stock WHERE shard = $1 AND sku = ANY ($2::text[]) ORDER BY sku, warehouse
