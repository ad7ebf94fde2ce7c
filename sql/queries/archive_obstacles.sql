-- What still needs the events up to a position: documents that began there and that the hot store remembers, what is in
-- quarantine, ids that the hot store remembers, and a ledger that may still get events of that time.
SELECT
    (
        SELECT count(*) FROM lock WHERE shard = $1 AND (opened_epoch, opened_n) <= ($2, $3)
        AND remembers(status, changed_epoch, changed_n, forgotten_epoch, forgotten_n)
    ) AS locks,
    (
        SELECT count(*) FROM transfer WHERE shard = $1 AND (opened_epoch, opened_n) <= ($2, $3)
        AND remembers(status, changed_epoch, changed_n, forgotten_epoch, forgotten_n)
    ) AS transfers,
    (
        SELECT count(*) FROM quarantine WHERE shard = $1 AND ended_at IS NULL AND (epoch, n) <= ($2, $3)
    ) AS parked,
    (forgotten_epoch, forgotten_n) < ($2, $3) AS remembered,
    position.recorded_at < $4 AS unfinished
FROM position WHERE shard = $1
