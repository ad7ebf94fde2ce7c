SELECT sku, warehouse, version, available, locked, damaged, in_transit, buffer
FROM stock WHERE shard = $1 ORDER BY sku, warehouse
