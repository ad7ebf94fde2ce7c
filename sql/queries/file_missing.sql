-- Of epochs that the ledger has passed: files the numbers that were seen and that it never got. What came of them is said
-- with them: `events` of which nothing else is known yet. After a carry-over all that was there has been booked.
WITH over AS (
    DELETE FROM seen USING position
    WHERE seen.shard = $1 AND position.shard = seen.shard AND seen.epoch < position.epoch
    RETURNING seen.shard, seen.epoch, seen.n, seen.seen_at
), missing AS (
    SELECT over.shard, over.epoch, booked.n + 1 AS first_n, over.n AS last_n, over.seen_at
    FROM over
    CROSS JOIN LATERAL (
        SELECT coalesce(max(event.n), -1) AS n FROM event WHERE event.shard = over.shard AND event.epoch = over.epoch
    ) AS booked
    WHERE over.n > booked.n AND NOT EXISTS (
        SELECT FROM epoch WHERE epoch.shard = over.shard AND epoch.epoch > over.epoch AND epoch.finding = 'carry_over'
    )
), filed AS (
    INSERT INTO lost_range (shard, epoch, first_n, last_n, seen_at)
    SELECT shard, epoch, first_n, last_n, seen_at FROM missing
    ON CONFLICT (shard, epoch, first_n) DO UPDATE SET last_n = excluded.last_n, seen_at = excluded.seen_at
    WHERE lost_range.last_n < excluded.last_n
    RETURNING shard, epoch, first_n, last_n
)
SELECT
    epoch, first_n, last_n, last_n - first_n + 1 - (
        SELECT count(DISTINCT lost_event.n) FROM lost_event
        WHERE lost_event.shard = filed.shard AND lost_event.epoch = filed.epoch
            AND lost_event.n BETWEEN filed.first_n AND filed.last_n
    ) AS events
FROM filed ORDER BY epoch, first_n
