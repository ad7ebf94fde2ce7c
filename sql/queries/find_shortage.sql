SELECT
    shortage_id, sku, warehouse, units, (extract(epoch FROM opened_at) * 1000)::bigint AS opened_at,
    (extract(epoch FROM closed_at) * 1000)::bigint AS closed_at
FROM shortage WHERE shortage_id = :shortage_id
