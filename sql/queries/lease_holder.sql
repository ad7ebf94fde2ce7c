SELECT holder FROM recovery_lease WHERE shard = $1
