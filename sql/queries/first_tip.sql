SELECT tip FROM event WHERE shard = $1 AND epoch = $2 AND n = 0
