-- Ends workers that stopped in the middle of a COPY, whom no time-out of the server's own ends: they hold the position,
-- and would for ever. No worker that lives is at one statement for that long.
SELECT count(pg_terminate_backend(activity.pid)) FROM pg_stat_activity AS activity
WHERE activity.datname = current_database() AND activity.usename = current_user
    AND activity.state = 'active' AND activity.wait_event = 'ClientRead'
    AND activity.query_start < clock_timestamp() - make_interval(secs => $1)
    AND EXISTS (
        SELECT FROM pg_locks
        WHERE pg_locks.pid = activity.pid AND pg_locks.relation = 'position'::regclass AND pg_locks.mode = 'RowShareLock'
    )
