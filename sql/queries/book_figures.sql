-- What the metrics say of the books: open drift, the age of the last check that came through (null: none yet), for how
-- many months after this one there is room, and how many events were lost.
SELECT
    (SELECT count(*) FROM drift WHERE gone_at IS NULL) AS drift,
    (SELECT extract(epoch FROM now() - min(finished_at))::float FROM daily_check) AS check_age_seconds,
    (
        SELECT count(*) - 1 FROM pg_inherits
        WHERE inhparent = 'move'::regclass
            AND right(inhrelid::regclass::text, 7) >= to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
    ) AS months_ahead,
    (SELECT count(*) FROM lost_event WHERE finding <> 'carry_over')
        + (SELECT coalesce(sum(last_n - first_n + 1), 0)::bigint FROM lost_range)
        - (
            SELECT count(DISTINCT (lost_event.shard, lost_event.epoch, lost_event.n)) FROM lost_event
            JOIN lost_range ON lost_range.shard = lost_event.shard AND lost_range.epoch = lost_event.epoch
                AND lost_event.n BETWEEN lost_range.first_n AND lost_range.last_n
        ) AS lost
