-- A source has left numbers out, at least as many as SKUs differ without a reason: nobody knows what those events say.
SELECT
    d.sku, d.state, 'event_missing' AS cause,
    jsonb_build_object('type', 'sequence', 'missing', gaps.missing) AS evidence
FROM discrepancy AS d
CROSS JOIN (
    SELECT
        jsonb_agg(missing.source || ' ' || missing.first_number || '-' || missing.last_number) AS missing,
        sum(missing.last_number - missing.first_number + 1) AS events
    FROM reconciliation AS r CROSS JOIN LATERAL missing_sequences(r.warehouse) AS missing WHERE r.number = $1
) AS gaps
WHERE d.number = $1 AND d.cause IS NULL
    AND gaps.events >= (SELECT count(DISTINCT sku) FROM discrepancy WHERE number = $1 AND cause IS NULL)
