-- The newest lock of each id, wherever it is kept, if it has ended.
SELECT lock_id, record, opened_epoch, opened_n FROM (
    SELECT DISTINCT ON (lock_id) lock_id, record, opened_epoch, opened_n FROM (
        SELECT lock_id, record, opened_epoch, opened_n FROM lock WHERE lock.lock_id = ANY (:lock_ids)
        UNION ALL
        SELECT lock_id, record, opened_epoch, opened_n FROM closed_lock WHERE closed_lock.lock_id = ANY (:lock_ids)
    ) AS known
    ORDER BY lock_id, opened_epoch DESC, opened_n DESC
) AS newest
WHERE record ->> 's' IN ('released', 'deducted', 'expired')
