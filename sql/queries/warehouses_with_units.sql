-- The next warehouses by code, or one ($3), with what is there; also one that is not listed, as long as anything is there.
SELECT
    code, coalesce(listed.name, '') AS name, listed.rank, coalesce(listed.closed, false) AS closed,
    coalesce(there.skus, 0) AS skus, coalesce(there.available, 0) AS available, coalesce(there.locked, 0) AS locked,
    coalesce(there.damaged, 0) AS damaged, coalesce(there.in_transit, 0) AS in_transit
FROM (SELECT code, name, rank, closed FROM warehouse WHERE merged_into IS NULL) AS listed
FULL JOIN (
    SELECT
        warehouse AS code, count(*) FILTER (WHERE available <> 0 OR locked <> 0 OR damaged <> 0 OR in_transit <> 0) AS skus,
        sum(available)::bigint AS available, sum(locked)::bigint AS locked, sum(damaged)::bigint AS damaged,
        sum(in_transit)::bigint AS in_transit
    FROM stock WHERE $3::text IS NULL OR warehouse = $3 GROUP BY warehouse
) AS there USING (code)
WHERE code > $1 AND ($3::text IS NULL OR code = $3) AND (listed.code IS NOT NULL OR there.skus > 0)
ORDER BY code LIMIT $2
