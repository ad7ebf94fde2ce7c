SELECT sku, warehouse, version, available, locked, damaged, in_transit, buffer
FROM stock WHERE sku = ANY (:skus) ORDER BY sku, warehouse
