SELECT epoch, n, forgotten_epoch, forgotten_n FROM position WHERE shard = :shard
