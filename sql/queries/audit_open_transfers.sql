SELECT transfer_id AS id FROM transfer
WHERE shard = :shard AND status IN ('requested', 'partly_shipped', 'shipped') AND transfer_id > :after
ORDER BY transfer_id LIMIT :ids_max
