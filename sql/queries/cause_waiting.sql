-- An event of the inbox waits, parked or quarantined: with it, the count would agree.
SELECT d.sku, d.state, $2::text AS cause, jsonb_build_object('events', jsonb_agg(DISTINCT wait.source || ' ' || wait.event_id)) AS evidence
FROM (
    SELECT waiting.* FROM reconciliation AS r
    CROSS JOIN LATERAL waiting_events(r.warehouse, r.as_of, $2::text) AS waiting WHERE r.number = $1
) AS wait
JOIN discrepancy AS d ON wait.sku = d.sku AND wait.state = d.state
WHERE d.number = $1 AND d.cause IS NULL
GROUP BY d.sku, d.state, d.difference
HAVING bool_or(wait.units IS NULL) OR bool_or(wait.units = d.difference) OR sum(wait.units) = d.difference
