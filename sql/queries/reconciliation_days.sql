-- The last reconciliations of the same warehouse up to this one, oldest first.
SELECT reconciliation_id, (extract(epoch FROM as_of) * 1000)::bigint AS as_of, totals
FROM (
    SELECT done.reconciliation_id, done.as_of, done.number, done.totals
    FROM reconciliation AS done JOIN reconciliation AS this USING (warehouse)
    WHERE this.reconciliation_id = :reconciliation_id AND done.status = 'done' AND done.as_of <= this.as_of
    ORDER BY done.as_of DESC, done.number DESC LIMIT :days_max
) AS last
ORDER BY as_of, number
