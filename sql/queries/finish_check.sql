UPDATE daily_check SET finished_at = now() WHERE shard = :shard RETURNING compared
