-- Which SKUs were counted at just these times, and the id of the event that says so ('' if that is not there any more).
-- What settles another fact has the time of a count, but not in the event of that count.
SELECT given.sku, (extract(epoch FROM given.at) * 1000)::bigint AS at_ms, coalesce(its.op, '') AS op
FROM unnest($2::text[], $3::timestamptz[]) AS given (sku, at)
JOIN counted ON counted.sku = given.sku AND counted.warehouse = $1 AND counted.counted_at = given.at
LEFT JOIN LATERAL (
    SELECT event.op FROM move JOIN event USING (shard, epoch, n)
    WHERE move.sku = given.sku AND move.warehouse = $1 AND move.occurred_at = given.at
        AND event.kind = 'count' AND event.occurred_at = given.at
    ORDER BY event.epoch, event.n LIMIT 1
) AS its ON true
