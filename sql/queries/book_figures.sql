-- What the metrics say of the books: open drift, the age of the last check that came through (null: none yet), and for how
-- many months after this one there is room.
SELECT
    (SELECT count(*) FROM drift WHERE gone_at IS NULL) AS drift,
    (SELECT extract(epoch FROM now() - min(finished_at))::float FROM daily_check) AS check_age_seconds,
    (
        SELECT count(*) - 1 FROM pg_inherits
        WHERE inhparent = 'move'::regclass
            AND right(inhrelid::regclass::text, 7) >= to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
    ) AS months_ahead
