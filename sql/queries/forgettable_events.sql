-- The next events past the horizon, oldest first, whose ids the hot store may forget.
SELECT
    epoch, n, op, lock_id, document_kind, document_id, (extract(epoch FROM recorded_at) * 1000)::bigint AS at_ms, array(
        SELECT event_id.op FROM event_id
        WHERE event_id.shard = event.shard AND event_id.epoch = event.epoch AND event_id.n = event.n
    ) AS told_ids
FROM event
WHERE shard = :shard AND (epoch, n) > (:epoch, :n) AND (recorded_at < :before OR (epoch = :cap_epoch AND n < :cap_n))
ORDER BY epoch, n LIMIT :events_max
