SELECT sku FROM stock WHERE shard = :shard AND sku > :after GROUP BY sku ORDER BY sku LIMIT :skus_max
