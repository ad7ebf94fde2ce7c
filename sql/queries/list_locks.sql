-- Of the locks between two ids, wherever they are kept: the newest of each id, if it is in one of the states and has
-- the SKU. No more lines than `lines_max`, but for one lock that has more.
WITH newest AS (
    SELECT DISTINCT ON (lock_id) lock_id, status, record FROM (
        SELECT lock_id, opened_epoch, opened_n, status, record FROM lock
        WHERE lock.lock_id > :after AND lock.lock_id <= :until
        UNION ALL
        SELECT lock_id, opened_epoch, opened_n, record ->> 's', record FROM closed_lock
        WHERE closed_lock.lock_id > :after AND closed_lock.lock_id <= :until
    ) AS known
    ORDER BY lock_id, opened_epoch DESC, opened_n DESC
)
SELECT lock_id, record, lines_so_far FROM (
    SELECT
        lock_id, record, jsonb_array_length(record -> 'n') AS lines,
        sum(jsonb_array_length(record -> 'n')) OVER (ORDER BY lock_id) AS lines_so_far
    FROM newest
    WHERE status = ANY (CAST(:statuses AS text[]))
        AND (CAST(:sku AS text) IS NULL OR EXISTS (
            SELECT FROM jsonb_array_elements(record -> 'n') AS line WHERE line ->> 0 = CAST(:sku AS text)
        ))
) AS found
WHERE lines_so_far - lines < :lines_max
ORDER BY lock_id LIMIT :items_max
