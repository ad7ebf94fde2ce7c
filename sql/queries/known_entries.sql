-- Which of these entries the ledger has.
SELECT event.epoch, event.n
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS given (epoch, n, tip)
JOIN event ON event.shard = $1 AND event.epoch = given.epoch AND event.n = given.n AND event.tip = given.tip
