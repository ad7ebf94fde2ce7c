-- What was lost, oldest first. An event is a list, as the outbox has it: kind, time, op and moves are items of it. Where
-- only numbers are known, a row stands for the `events` of a range of which nothing else is.
SELECT
    epoch, n, n AS last_n, 1::bigint AS events, lock_id, event ->> 1 AS kind, event ->> 3 AS op, finding, found_at,
    to_timestamp((event ->> 2)::bigint / 1000.0) AS recorded_at, event -> 10 AS moves, tip
FROM lost_event WHERE shard = :shard AND finding <> 'carry_over'
UNION ALL
SELECT
    epoch, first_n, last_n, last_n - first_n + 1 - known.events, NULL, 'unknown', NULL, 'seen', found_at, seen_at, NULL, ''
FROM lost_range
CROSS JOIN LATERAL (
    SELECT count(DISTINCT lost_event.n) AS events FROM lost_event
    WHERE lost_event.shard = lost_range.shard AND lost_event.epoch = lost_range.epoch
        AND lost_event.n BETWEEN lost_range.first_n AND lost_range.last_n
) AS known
WHERE shard = :shard AND last_n - first_n + 1 > known.events
ORDER BY epoch, n, tip
