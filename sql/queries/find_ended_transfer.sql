-- The newest transfer of an id, if it has ended.
SELECT record, opened_epoch, opened_n FROM (
    SELECT opened_epoch, opened_n, record FROM transfer WHERE transfer.transfer_id = :transfer_id
    ORDER BY opened_epoch DESC, opened_n DESC LIMIT 1
) AS newest
WHERE record ->> 's' IN ('received', 'cancelled')
