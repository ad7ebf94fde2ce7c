SELECT epoch, sku, warehouse, before, after, found_at FROM stock_correction
WHERE shard = :shard ORDER BY epoch DESC, sku, warehouse LIMIT :items_max
