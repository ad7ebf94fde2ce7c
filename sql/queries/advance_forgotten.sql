UPDATE position SET forgotten_epoch = :epoch, forgotten_n = :n WHERE shard = :shard
