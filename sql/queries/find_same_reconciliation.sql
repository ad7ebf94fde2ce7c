SELECT reconciliation_id FROM reconciliation
WHERE warehouse = $1 AND as_of = $2 AND fingerprint = $3 AND status <> 'failed'
