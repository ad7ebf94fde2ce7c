SELECT source, warehouse, number FROM inbox_sequence WHERE shard = $1 ORDER BY source, warehouse
