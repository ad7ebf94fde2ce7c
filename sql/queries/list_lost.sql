-- What was lost, oldest first. An event is a list, as the outbox has it: kind, time, op and moves are items of it.
SELECT
    epoch, n, lock_id, event ->> 1 AS kind, event ->> 3 AS op, finding, found_at,
    to_timestamp((event ->> 2)::bigint / 1000.0) AS recorded_at, event -> 10 AS moves
FROM lost_event WHERE shard = :shard AND finding <> 'carry_over' ORDER BY epoch, n, tip
