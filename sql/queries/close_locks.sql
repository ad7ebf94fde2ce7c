-- The next locks that ended before a time, and that the hot store has forgotten, go where closed locks are kept.
WITH gone AS (
    DELETE FROM lock WHERE (lock_id, opened_epoch, opened_n) IN (
        SELECT lock.lock_id, lock.opened_epoch, lock.opened_n FROM lock JOIN position USING (shard)
        WHERE lock.shard = $1 AND lock.changed_at < $2 AND lock.status IN ('deducted', 'released', 'expired')
            AND (lock.changed_epoch, lock.changed_n) <= (position.forgotten_epoch, position.forgotten_n)
        ORDER BY lock.changed_at LIMIT $3
    )
    RETURNING shard, lock_id, opened_epoch, opened_n, changed_epoch, changed_n, changed_at, record
)
INSERT INTO closed_lock (shard, lock_id, opened_epoch, opened_n, changed_epoch, changed_n, changed_at, record)
SELECT * FROM gone
