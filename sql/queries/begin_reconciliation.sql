-- A snapshot that came before, with the same content, is not taken again: no row then.
INSERT INTO reconciliation (warehouse, as_of, fingerprint, lines, counts_damaged, whole, who, shard, epoch, n)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (warehouse, as_of, fingerprint) WHERE status <> 'failed' DO NOTHING
RETURNING number, reconciliation_id
