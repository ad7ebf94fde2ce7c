-- The next events past the horizon, in order, whose ids the hot store may forget; up to the first that is not past it,
-- so that nobody looks through all of them for none.
SELECT
    epoch, n, op, lock_id, document_kind, document_id, (extract(epoch FROM recorded_at) * 1000)::bigint AS at_ms, array(
        SELECT event_id.op FROM event_id
        WHERE event_id.shard = :shard AND event_id.epoch = past.epoch AND event_id.n = past.n
    ) AS told_ids
FROM (
    SELECT
        following.*,
        bool_and(recorded_at < :before OR (epoch = :cap_epoch AND n < :cap_n)) OVER (ORDER BY epoch, n) AS is_past
    FROM (
        SELECT epoch, n, op, lock_id, document_kind, document_id, recorded_at FROM event
        WHERE shard = :shard AND (epoch, n) > (:epoch, :n)
        ORDER BY epoch, n LIMIT :events_max
    ) AS following
) AS past
WHERE is_past
ORDER BY epoch, n
