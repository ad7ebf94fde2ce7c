-- A paid lock still holds on our shelf just what the warehouse has less: nobody told that it shipped.
SELECT
    d.sku, d.state, 'event_missing' AS cause,
    jsonb_build_object('type', 'shipped', 'lock_ids', jsonb_agg(held.lock_id ORDER BY held.lock_id)) AS evidence
FROM discrepancy AS d JOIN reconciliation AS r USING (number)
JOIN (
    SELECT line.lock_id, line.sku, line.warehouse, line.quantity - line.deducted AS units, lock.changed_at
    FROM lock_line AS line JOIN lock USING (lock_id, opened_epoch, opened_n)
    WHERE line.status IN ('confirmed', 'partly_deducted')
) AS held ON held.sku = d.sku AND held.warehouse = r.warehouse AND held.units = -d.difference
WHERE d.number = $1 AND d.cause IS NULL AND d.state = 'on_hand' AND held.changed_at <= r.as_of
GROUP BY d.sku, d.state
