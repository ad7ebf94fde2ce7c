SELECT DISTINCT ON (transfer_id) transfer_id AS id, opened_epoch, opened_n, record
FROM transfer WHERE transfer_id = ANY (:ids)
ORDER BY transfer_id, opened_epoch DESC, opened_n DESC
