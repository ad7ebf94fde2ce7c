-- Transfers that the hot store must remember: open ones, and those that ended after the horizon began.
SELECT DISTINCT ON (transfer_id) transfer_id, opened_epoch, opened_n, record
FROM transfer
WHERE shard = :shard
    AND (status IN ('requested', 'partly_shipped', 'shipped') OR changed_at > :since)
ORDER BY transfer_id, opened_epoch DESC, opened_n DESC
