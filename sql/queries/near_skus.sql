SELECT key, sku FROM sku_key WHERE key = ANY ($1::text[]) ORDER BY key, sku LIMIT $2
