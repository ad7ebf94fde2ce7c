-- The last reconciliation of each whole warehouse that has one.
SELECT DISTINCT ON (warehouse) warehouse, (extract(epoch FROM as_of) * 1000)::bigint AS as_of, totals
FROM reconciliation WHERE status = 'done' AND NOT coalesce((totals ->> 'partial')::boolean, false)
ORDER BY warehouse, as_of DESC, number DESC
