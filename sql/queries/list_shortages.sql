SELECT shortage_id, sku, warehouse, units, (extract(epoch FROM opened_at) * 1000)::bigint AS opened_at
FROM shortage WHERE closed_at IS NULL AND shortage_id > :after ORDER BY shortage_id LIMIT :items_max
