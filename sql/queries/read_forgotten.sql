SELECT
    position.epoch, position.n, position.forgotten_epoch, position.forgotten_n,
    (extract(epoch FROM event.recorded_at) * 1000)::bigint AS at_ms
FROM position LEFT JOIN event ON event.shard = position.shard
    AND event.epoch = position.forgotten_epoch AND event.n = position.forgotten_n
WHERE position.shard = :shard
