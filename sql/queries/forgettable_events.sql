-- Of the next events of an epoch, in order, those past the horizon, up to the first that is not: their ids the hot store may
-- forget. Epochs count their events without a gap, so that numbers bound the search: no planner can misjudge it.
SELECT
    epoch, n, op, lock_id, document_kind, document_id, (extract(epoch FROM recorded_at) * 1000)::bigint AS at_ms, array(
        SELECT event_id.op FROM event_id
        WHERE event_id.shard = :shard AND event_id.epoch = past.epoch AND event_id.n = past.n
    ) AS told_ids
FROM (
    SELECT
        epoch, n, op, lock_id, document_kind, document_id, recorded_at,
        bool_and(recorded_at < :before OR (epoch = :cap_epoch AND n < :cap_n)) OVER (ORDER BY n) AS is_past
    FROM event
    WHERE shard = :shard AND epoch = :epoch AND n > :n AND n <= :until_n
) AS past
WHERE is_past
ORDER BY n
