SELECT lock_id AS id FROM lock
WHERE shard = :shard AND status IN ('held', 'confirmed', 'partly_deducted') AND lock_id > :after
ORDER BY lock_id LIMIT :ids_max
