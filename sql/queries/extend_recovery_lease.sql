UPDATE recovery_lease SET until = now() + make_interval(secs => :seconds)
WHERE shard = :shard AND fence = :fence RETURNING fence
