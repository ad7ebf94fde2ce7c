-- The newest transfer of each id takes the fields that changed.
UPDATE transfer SET
    record = jsonb_strip_nulls(transfer.record || change.record),
    changed_epoch = change.epoch, changed_n = change.n, changed_at = change.at
FROM (
    SELECT given.*, newest.opened_epoch, newest.opened_n
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::jsonb[])
        AS given (transfer_id, epoch, n, at, record)
    CROSS JOIN LATERAL (
        SELECT opened_epoch, opened_n FROM transfer WHERE transfer.transfer_id = given.transfer_id
        ORDER BY opened_epoch DESC, opened_n DESC LIMIT 1
    ) AS newest
) AS change
WHERE transfer.transfer_id = change.transfer_id
    AND transfer.opened_epoch = change.opened_epoch AND transfer.opened_n = change.opened_n
