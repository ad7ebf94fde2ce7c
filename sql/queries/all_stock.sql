SELECT sku, warehouse, version, available, locked, damaged, in_transit, buffer
FROM stock WHERE shard = :shard ORDER BY sku, warehouse
