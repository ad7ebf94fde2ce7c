SELECT source, warehouse, number FROM inbox_sequence WHERE shard = :shard
