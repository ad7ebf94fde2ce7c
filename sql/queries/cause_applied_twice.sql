-- Two events with other ids that say the same: same SKU, places, units and time in the warehouse. Without one of them
-- the count would agree. Times that nobody gave (those of recording) prove nothing.
SELECT d.sku, d.state, 'applied_twice' AS cause, jsonb_build_object('events', twice.ops) AS evidence
FROM discrepancy AS d JOIN reconciliation AS r USING (number)
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT coalesce(event.op, event.kind)) AS ops
    FROM shelf_change AS change
    JOIN event USING (shard, epoch, n, recorded_at)
    WHERE change.sku = d.sku AND change.warehouse = r.warehouse AND change.state = d.state
        AND change.units = -d.difference
        AND change.occurred_at <= r.as_of AND change.occurred_at > r.as_of - interval '31 days'
    GROUP BY change.occurred_at, change.source, change.target
    HAVING count(*) > 1 AND bool_or(change.occurred_at <> change.recorded_at)
    LIMIT 1
) AS twice
WHERE d.number = $1 AND d.cause IS NULL
