-- The next open locks that one page of a list looks at: how many, and the id of the last.
SELECT count(*) AS looked_at, max(lock_id) AS until FROM (
    SELECT lock_id FROM lock
    WHERE lock_id > :after AND status IN ('held', 'confirmed', 'partly_deducted')
    ORDER BY lock_id LIMIT :looked_at_max
) AS page
