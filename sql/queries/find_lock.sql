-- The newest lock of an id, wherever it is kept.
SELECT known.lock_id, known.record FROM (
    SELECT lock_id, opened_epoch, opened_n, record FROM lock WHERE lock.lock_id = :lock_id
    UNION ALL
    SELECT lock_id, opened_epoch, opened_n, record FROM closed_lock WHERE closed_lock.lock_id = :lock_id
) AS known
ORDER BY known.opened_epoch DESC, known.opened_n DESC LIMIT 1
