SELECT
    purchase_order_id, warehouse, fingerprint,
    (extract(epoch FROM created_at) * 1000)::bigint AS created_at, (extract(epoch FROM closed_at) * 1000)::bigint AS closed_at
FROM purchase_order WHERE purchase_order_id = ANY (:ids) ORDER BY purchase_order_id
