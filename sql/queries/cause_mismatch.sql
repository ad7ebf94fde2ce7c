-- Reporters of a document disagree: with the word of another of them, the count would agree.
WITH said AS (
    SELECT
        open.mismatch_id, open.sku, claim ->> 2 AS reporter, side.state,
        sum(side.sign * side.units) FILTER (WHERE claim ->> 1 = r.warehouse) AS units
    FROM reconciliation AS r
    CROSS JOIN mismatch AS open JOIN document_sum USING (family, sku)
    CROSS JOIN LATERAL jsonb_array_elements(document_sum.sums -> 0) AS claim
    CROSS JOIN LATERAL (
        SELECT CASE WHEN split_part(open.family, ':', 1) IN ('deduct', 'transfer_ship') THEN -1 ELSE 1 END AS sign
    ) AS way
    CROSS JOIN LATERAL (VALUES
        ('on_hand', way.sign, (claim ->> 3)::bigint), ('damaged', way.sign, (claim ->> 4)::bigint)
    ) AS side (state, sign, units)
    WHERE r.number = $1 AND open.closed_at IS NULL
    GROUP BY open.mismatch_id, open.sku, claim ->> 2, side.state
),
booked AS (
    SELECT
        open.mismatch_id, side.state, coalesce(sum(side.sign * side.units), 0) AS units
    FROM reconciliation AS r
    CROSS JOIN mismatch AS open JOIN document_sum USING (family, sku)
    CROSS JOIN LATERAL jsonb_array_elements(document_sum.sums -> 1) AS one
    CROSS JOIN LATERAL (
        SELECT CASE WHEN split_part(open.family, ':', 1) IN ('deduct', 'transfer_ship') THEN -1 ELSE 1 END AS sign
    ) AS way
    CROSS JOIN LATERAL (VALUES
        ('on_hand', way.sign, (one ->> 2)::bigint), ('damaged', way.sign, (one ->> 3)::bigint)
    ) AS side (state, sign, units)
    WHERE r.number = $1 AND open.closed_at IS NULL AND one ->> 1 = r.warehouse
    GROUP BY open.mismatch_id, side.state
)
SELECT
    d.sku, d.state, 'mismatch' AS cause,
    jsonb_build_object('mismatches', jsonb_agg(DISTINCT said.mismatch_id::text ORDER BY said.mismatch_id::text)) AS evidence
FROM discrepancy AS d
JOIN said ON said.sku = d.sku AND said.state = d.state
LEFT JOIN booked ON booked.mismatch_id = said.mismatch_id AND booked.state = said.state
WHERE d.number = $1 AND d.cause IS NULL AND coalesce(said.units, 0) - coalesce(booked.units, 0) = d.difference
GROUP BY d.sku, d.state
