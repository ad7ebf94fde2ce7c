-- What is still expected of open orders, by SKU, warehouse and time; what has no time comes last.
SELECT
    expected.sku, expected.warehouse, expected.expected_at,
    sum(expected.outstanding)::bigint AS quantity, array_agg(DISTINCT expected.purchase_order_id) AS purchase_order_ids
FROM (
    SELECT
        line.sku, line.outstanding, line.purchase_order_id, purchase_order.warehouse,
        (extract(epoch FROM line.expected_at) * 1000)::bigint AS expected_at
    FROM purchase_order_outstanding AS line JOIN purchase_order USING (purchase_order_id)
    WHERE purchase_order.closed_at IS NULL AND line.outstanding > 0
) AS expected
WHERE (CAST(:sku AS text) IS NULL OR expected.sku = :sku)
    AND (CAST(:warehouse AS text) IS NULL OR expected.warehouse = :warehouse)
    AND (expected.sku, expected.warehouse, coalesce(expected.expected_at, 9223372036854775807))
        > (CAST(:after_sku AS text), CAST(:after_warehouse AS text), CAST(:after_at AS bigint))
GROUP BY expected.sku, expected.warehouse, expected.expected_at
ORDER BY expected.sku, expected.warehouse, coalesce(expected.expected_at, 9223372036854775807) LIMIT :items_max
