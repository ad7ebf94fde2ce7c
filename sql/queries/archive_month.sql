INSERT INTO archived_month (shard, until, epoch, n, tip, events, moves)
SELECT
    $1, $2, $3, $4, $5, (SELECT count(*) FROM event WHERE recorded_at < $2),
    (SELECT count(*) FROM move WHERE recorded_at < $2)
RETURNING events, moves
