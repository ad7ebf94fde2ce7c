SELECT
    reconciliation_id, warehouse, (extract(epoch FROM as_of) * 1000)::bigint AS as_of, status, lines, whole, who,
    (extract(epoch FROM requested_at) * 1000)::bigint AS requested_at,
    (extract(epoch FROM finished_at) * 1000)::bigint AS finished_at, failure, totals
FROM reconciliation WHERE reconciliation_id = :reconciliation_id
