UPDATE daily_check SET began_at = now(), compared = 0 WHERE shard = :shard
