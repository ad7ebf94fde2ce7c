SELECT EXISTS (SELECT FROM event WHERE shard = :shard AND epoch = :epoch AND n = :n)
