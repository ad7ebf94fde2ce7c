SELECT count(*) FROM (
    SELECT FROM event WHERE shard = $1 AND (epoch, n) > ($2, $3) LIMIT $4
) AS counted
