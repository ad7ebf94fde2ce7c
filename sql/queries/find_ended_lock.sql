-- The newest lock of an id, if it has ended.
SELECT record, opened_epoch, opened_n FROM (
    SELECT * FROM lock WHERE lock_id = :lock_id ORDER BY opened_epoch DESC, opened_n DESC LIMIT 1
) AS newest
WHERE status IN ('released', 'deducted', 'expired')
