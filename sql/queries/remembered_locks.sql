-- The locks that the hot store remembers.
SELECT DISTINCT ON (lock.lock_id) lock.lock_id AS id, lock.opened_epoch, lock.opened_n, lock.record
FROM lock JOIN position USING (shard)
WHERE lock.shard = $1
    AND remembers(lock.status, lock.changed_epoch, lock.changed_n, position.forgotten_epoch, position.forgotten_n)
ORDER BY lock.lock_id, lock.opened_epoch DESC, lock.opened_n DESC
