-- A transfer still waits on our shelf with just what the warehouse has less: nobody told that it left.
SELECT
    d.sku, d.state, 'event_missing' AS cause,
    jsonb_build_object('type', 'transfer_shipped', 'transfer_ids', jsonb_agg(line.transfer_id)) AS evidence
FROM discrepancy AS d JOIN reconciliation AS r USING (number)
JOIN transfer_line AS line ON line.sku = d.sku AND line.source = r.warehouse
    AND line.status IN ('requested', 'partly_shipped')
    AND line.quantity - line.shipped - line.cancelled = -d.difference
WHERE d.number = $1 AND d.cause IS NULL AND d.state = 'on_hand'
GROUP BY d.sku, d.state
