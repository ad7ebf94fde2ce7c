-- The first moves after the time of the snapshot are in it: what they changed was counted after.
SELECT d.sku, d.state, 'count_after_move' AS cause, moved.evidence
FROM discrepancy AS d JOIN reconciliation AS r USING (number)
CROSS JOIN LATERAL (
    SELECT jsonb_build_object('events', jsonb_build_array(coalesce(event.op, event.kind)), 'units', changed.up_to) AS evidence
    FROM (
        SELECT
            change.*, sum(change.units) OVER (ORDER BY change.occurred_at, change.epoch, change.n, change.line) AS up_to
        FROM shelf_change AS change
        WHERE change.sku = d.sku AND change.warehouse = r.warehouse AND change.state = d.state
            AND change.occurred_at > r.as_of AND change.occurred_at <= r.as_of + $2::interval
    ) AS changed
    JOIN event USING (shard, epoch, n, recorded_at)
    WHERE d.difference IN (changed.up_to, changed.units)
    LIMIT 1
) AS moved
WHERE d.number = $1 AND d.cause IS NULL
