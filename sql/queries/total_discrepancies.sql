SELECT
    cause, kind, count(*) AS discrepancies,
    coalesce(sum(difference) FILTER (WHERE difference > 0), 0)::bigint AS units_more,
    coalesce(-sum(difference) FILTER (WHERE difference < 0), 0)::bigint AS units_less
FROM discrepancy WHERE number = $1 GROUP BY cause, kind ORDER BY cause, kind
