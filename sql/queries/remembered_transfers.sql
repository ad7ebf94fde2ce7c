-- Transfers that the hot store must remember: open ones, and those that ended after the horizon began.
SELECT DISTINCT ON (transfer_id) transfer_id AS id, opened_epoch, opened_n, record
FROM transfer
WHERE shard = $1
    AND (status IN ('requested', 'partly_shipped', 'shipped') OR changed_at > $2)
ORDER BY transfer_id, opened_epoch DESC, opened_n DESC
