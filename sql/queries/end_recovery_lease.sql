UPDATE recovery_lease SET until = now() WHERE shard = :shard AND fence = :fence
