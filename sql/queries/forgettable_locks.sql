-- Of these locks, those that the hot store does not remember with this cursor, with every id used on them.
SELECT lock.lock_id, array(
    SELECT event.op FROM event WHERE event.lock_id = lock.lock_id AND event.op IS NOT NULL
    UNION ALL
    SELECT event_id.op FROM event JOIN event_id USING (shard, epoch, n) WHERE event.lock_id = lock.lock_id
) AS ops
FROM (
    SELECT DISTINCT ON (lock_id) * FROM lock WHERE lock_id = ANY (:lock_ids)
    ORDER BY lock_id, opened_epoch DESC, opened_n DESC
) AS lock
WHERE NOT remembers(lock.status, lock.changed_epoch, lock.changed_n, :epoch, :n)
