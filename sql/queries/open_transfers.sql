-- The transfers that are open.
SELECT DISTINCT ON (transfer_id) transfer_id AS id, opened_epoch, opened_n, record
FROM transfer WHERE shard = $1 AND status IN ('requested', 'partly_shipped', 'shipped')
ORDER BY transfer_id, opened_epoch DESC, opened_n DESC
