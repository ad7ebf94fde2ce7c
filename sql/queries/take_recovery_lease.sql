-- A new fence, if nobody else holds the lease, or who does is known to be dead.
INSERT INTO recovery_lease (shard, fence, holder, until)
VALUES (:shard, 1, :holder, now() + make_interval(secs => :seconds))
ON CONFLICT (shard) DO UPDATE SET
    fence = recovery_lease.fence + 1, holder = excluded.holder, until = excluded.until
WHERE recovery_lease.holder IN (excluded.holder, :dead) OR recovery_lease.until < now()
RETURNING fence
