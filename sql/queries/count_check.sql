UPDATE daily_check SET compared = compared + :compared WHERE shard = :shard
