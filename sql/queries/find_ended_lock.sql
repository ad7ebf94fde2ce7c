-- The newest lock of an id, wherever it is kept, if it has ended.
SELECT record, opened_epoch, opened_n FROM (
    SELECT opened_epoch, opened_n, record FROM lock WHERE lock.lock_id = :lock_id
    UNION ALL
    SELECT opened_epoch, opened_n, record FROM closed_lock WHERE closed_lock.lock_id = :lock_id
    ORDER BY opened_epoch DESC, opened_n DESC LIMIT 1
) AS newest
WHERE record ->> 's' IN ('released', 'deducted', 'expired')
