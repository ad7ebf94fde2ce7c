-- The next events past the horizon, in order, whose ids the hot store may forget; up to the first that is not past it,
-- so that nobody looks through all of them for none. An epoch counts its events from 0 without a gap.
SELECT
    epoch, n, op, lock_id, document_kind, document_id, (extract(epoch FROM recorded_at) * 1000)::bigint AS at_ms, array(
        SELECT event_id.op FROM event_id
        WHERE event_id.shard = :shard AND event_id.epoch = past.epoch AND event_id.n = past.n
    ) AS told_ids
FROM (
    SELECT
        next.*,
        bool_and(recorded_at < :before OR (epoch = :cap_epoch AND n < :cap_n)) OVER (ORDER BY epoch, n) AS is_past
    FROM (
        SELECT event.epoch, event.n, op, lock_id, document_kind, document_id, recorded_at
        FROM (
            SELECT CAST(:epoch AS bigint) AS epoch, CAST(:n AS bigint) AS n
            UNION ALL
            SELECT DISTINCT epoch, -1 FROM epoch WHERE shard = :shard AND epoch > :epoch
        ) AS since
        CROSS JOIN LATERAL (
            SELECT * FROM event
            WHERE event.shard = :shard AND event.epoch = since.epoch
                AND event.n > since.n AND event.n <= since.n + :events_max
        ) AS event
        ORDER BY event.epoch, event.n LIMIT :events_max
    ) AS next
) AS past
WHERE is_past
ORDER BY epoch, n
