-- The next locks that one page of a list looks at: how many, and the id of the last.
SELECT count(*) AS looked_at, max(lock_id) AS until FROM (
    SELECT lock_id FROM (
        SELECT lock_id FROM lock WHERE lock.lock_id > :after
        UNION ALL
        SELECT lock_id FROM closed_lock WHERE closed_lock.lock_id > :after
    ) AS known
    ORDER BY lock_id LIMIT :looked_at_max
) AS page
