-- As `list_locks`, of open locks alone: an id has one at most, and it is the newest.
WITH newest AS (
    SELECT lock_id, status, record FROM lock
    WHERE lock_id > :after AND lock_id <= :until AND status IN ('held', 'confirmed', 'partly_deducted')
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
