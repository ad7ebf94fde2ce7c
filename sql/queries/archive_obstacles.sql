-- What still needs the events up to a position: open documents that began there, what is in quarantine, ids that the hot store remembers, and a
-- ledger that may still get events of that time.
SELECT
    (
        SELECT count(*) FROM lock WHERE shard = $1 AND status IN ('held', 'confirmed', 'partly_deducted')
        AND (opened_epoch, opened_n) <= ($2, $3)
    ) AS locks,
    (
        SELECT count(*) FROM transfer WHERE shard = $1 AND status IN ('requested', 'partly_shipped', 'shipped')
        AND (opened_epoch, opened_n) <= ($2, $3)
    ) AS transfers,
    (
        SELECT count(*) FROM quarantine WHERE shard = $1 AND ended_at IS NULL AND (epoch, n) <= ($2, $3)
    ) AS parked,
    (forgotten_epoch, forgotten_n) < ($2, $3) AS remembered,
    position.recorded_at < $4 AS unfinished
FROM position WHERE shard = $1
