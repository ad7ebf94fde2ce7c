-- Keeps what a branch says that the ledger does not.
INSERT INTO lost_event (shard, epoch, n, tip, lock_id, event, finding)
SELECT $1, given.epoch, given.n, given.tip, given.lock_id, given.event, $7
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::jsonb[]) AS given (epoch, n, tip, lock_id, event)
WHERE NOT EXISTS (
    SELECT FROM event
    WHERE event.shard = $1 AND event.epoch = given.epoch AND event.n = given.n AND event.tip = given.tip
)
ON CONFLICT DO NOTHING
