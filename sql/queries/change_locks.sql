-- The newest lock of each id takes the fields that changed; a null removes one.
UPDATE lock SET
    record = jsonb_strip_nulls(lock.record || change.record),
    changed_epoch = change.epoch, changed_n = change.n, changed_at = change.at
FROM (
    SELECT given.*, newest.opened_epoch, newest.opened_n
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::jsonb[])
        AS given (lock_id, epoch, n, at, record)
    CROSS JOIN LATERAL (
        SELECT opened_epoch, opened_n FROM lock WHERE lock.lock_id = given.lock_id
        ORDER BY opened_epoch DESC, opened_n DESC LIMIT 1
    ) AS newest
) AS change
WHERE lock.lock_id = change.lock_id AND lock.opened_epoch = change.opened_epoch AND lock.opened_n = change.opened_n
