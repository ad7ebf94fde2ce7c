-- Whoever holds the check goes on with it; another may once it has not been heard of for a while.
INSERT INTO daily_check (shard, holder, until, began_at)
VALUES (:shard, :holder, now() + make_interval(secs => :seconds), now())
ON CONFLICT (shard) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE daily_check.holder = excluded.holder OR daily_check.until < now()
RETURNING shard
