SELECT DISTINCT ON (lock_id) lock_id AS id, opened_epoch, opened_n, record
FROM lock WHERE lock_id = ANY (:ids)
ORDER BY lock_id, opened_epoch DESC, opened_n DESC
