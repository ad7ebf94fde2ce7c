-- Keeps what a process had acknowledged and neither ledger, branch nor carry-over knows.
INSERT INTO lost_event (shard, epoch, n, tip, lock_id, event, finding)
SELECT $1, given.epoch, given.n, '', given.lock_id, given.event, 'named'
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::jsonb[]) AS given (epoch, n, lock_id, event)
WHERE NOT EXISTS (
    SELECT FROM event WHERE event.shard = $1 AND event.epoch = given.epoch AND event.n = given.n
) AND NOT EXISTS (
    SELECT FROM lost_event AS known
    WHERE known.shard = $1 AND known.epoch = given.epoch AND known.n = given.n
) AND NOT EXISTS (
    SELECT FROM epoch WHERE epoch.shard = $1 AND epoch.epoch > given.epoch AND epoch.finding = 'carry_over'
)
ON CONFLICT DO NOTHING
