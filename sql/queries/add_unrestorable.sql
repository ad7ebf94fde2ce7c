-- Keeps events in quarantine of which not all could be set again when the hot store was made anew.
INSERT INTO lost_event (shard, epoch, n, tip, lock_id, event, finding)
SELECT
    $1, given.epoch, given.n, event.tip, given.lock_id,
    jsonb_set(given.event, '{2}', to_jsonb((extract(epoch FROM event.recorded_at) * 1000)::bigint)), 'unrestorable'
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::jsonb[]) AS given (epoch, n, lock_id, event)
JOIN event ON event.shard = $1 AND event.epoch = given.epoch AND event.n = given.n
ON CONFLICT DO NOTHING
