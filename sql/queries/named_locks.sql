SELECT DISTINCT ON (lock_id) lock_id AS id, opened_epoch, opened_n, record
FROM lock WHERE shard = $1 AND lock_id = ANY ($2::text[])
ORDER BY lock_id, opened_epoch DESC, opened_n DESC
