-- An event of the inbox waits for its turn or its document: with it, the count would agree.
UPDATE discrepancy AS filed SET cause = 'parked', evidence = found.evidence
FROM (
    SELECT d.sku, d.state, jsonb_build_object('events', jsonb_agg(DISTINCT wait.source || ' ' || wait.event_id)) AS evidence
    FROM (
        SELECT waiting.* FROM reconciliation AS r
        CROSS JOIN LATERAL waiting_events(r.warehouse, r.as_of, 'parked') AS waiting WHERE r.number = $1
    ) AS wait
    JOIN discrepancy AS d ON wait.sku = d.sku AND wait.state = d.state
    WHERE d.number = $1 AND d.cause IS NULL
    GROUP BY d.sku, d.state, d.difference
    HAVING bool_or(wait.units IS NULL) OR bool_or(wait.units = d.difference) OR sum(wait.units) = d.difference
) AS found
WHERE filed.number = $1 AND filed.sku = found.sku AND filed.state = found.state
