-- A purchase order still expects just what the warehouse has more: nobody told that it came.
SELECT
    d.sku, d.state, 'event_missing' AS cause,
    jsonb_build_object('type', 'received', 'purchase_order_ids', jsonb_agg(due.purchase_order_id)) AS evidence
FROM discrepancy AS d JOIN reconciliation AS r USING (number)
JOIN (
    SELECT
        line.purchase_order_id, line.sku, purchase_order.warehouse, purchase_order.created_at,
        sum(line.outstanding) AS units
    FROM purchase_order_outstanding AS line JOIN purchase_order USING (purchase_order_id)
    WHERE purchase_order.closed_at IS NULL
    GROUP BY line.purchase_order_id, line.sku, purchase_order.warehouse, purchase_order.created_at
) AS due ON due.sku = d.sku AND due.warehouse = r.warehouse AND due.units = d.difference
WHERE d.number = $1 AND d.cause IS NULL AND due.created_at <= r.as_of
GROUP BY d.sku, d.state
