-- Listeners hear of it with the commit, and only then.
WITH advanced AS (
    UPDATE position SET epoch = $2, n = $3, tip = $4, recorded_at = $5 WHERE shard = $1
)
SELECT pg_notify('sellable_position', format('%s %s-%s', $1::smallint, $2::bigint, $3::bigint))
