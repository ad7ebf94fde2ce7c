-- The locks that are open.
SELECT DISTINCT ON (lock_id) lock_id AS id, opened_epoch, opened_n, record
FROM lock WHERE shard = $1 AND status IN ('held', 'confirmed', 'partly_deducted')
ORDER BY lock_id, opened_epoch DESC, opened_n DESC
