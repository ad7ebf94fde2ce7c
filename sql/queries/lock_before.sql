-- The newest lock of an id as it is now, if it has not changed since a time; wherever it is kept.
SELECT known.record FROM (
    SELECT opened_epoch, opened_n, changed_at, record FROM lock WHERE lock.lock_id = :lock_id
    UNION ALL
    SELECT opened_epoch, opened_n, changed_at, record FROM closed_lock WHERE closed_lock.lock_id = :lock_id
) AS known
WHERE known.changed_at <= :at
ORDER BY known.opened_epoch DESC, known.opened_n DESC LIMIT 1
