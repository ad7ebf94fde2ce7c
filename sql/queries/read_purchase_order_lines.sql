SELECT
    purchase_order_id, sku, quantity, (extract(epoch FROM expected_at) * 1000)::bigint AS expected_at, outstanding
FROM purchase_order_outstanding WHERE purchase_order_id = ANY (:ids) ORDER BY purchase_order_id, line
