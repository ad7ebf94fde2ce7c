-- Locks that the hot store must remember: open ones, and those that ended after the horizon began.
SELECT DISTINCT ON (lock_id) lock_id AS id, opened_epoch, opened_n, record
FROM lock
WHERE shard = $1
    AND (status IN ('held', 'confirmed', 'partly_deducted') OR changed_at > $2)
ORDER BY lock_id, opened_epoch DESC, opened_n DESC
