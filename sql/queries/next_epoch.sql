SELECT min(epoch) FROM epoch WHERE shard = :shard AND epoch > :epoch
