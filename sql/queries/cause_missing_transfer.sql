-- A transfer still waits on our shelf with just what the warehouse has less: nobody told that it left.
UPDATE discrepancy AS filed SET cause = 'event_missing', evidence = found.evidence
FROM (
    SELECT
        d.sku, d.state,
        jsonb_build_object('type', 'transfer_shipped', 'transfer_ids', jsonb_agg(line.transfer_id)) AS evidence
    FROM discrepancy AS d JOIN reconciliation AS r USING (number)
    JOIN transfer_line AS line ON line.sku = d.sku AND line.source = r.warehouse
        AND line.status IN ('requested', 'partly_shipped')
        AND line.quantity - line.shipped - line.cancelled = -d.difference
    WHERE d.number = $1 AND d.cause IS NULL AND d.state = 'on_hand'
    GROUP BY d.sku, d.state
) AS found
WHERE filed.number = $1 AND filed.sku = found.sku AND filed.state = found.state
