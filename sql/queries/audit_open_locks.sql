SELECT lock_id FROM lock
WHERE shard = :shard AND status IN ('held', 'confirmed', 'partly_deducted') AND lock_id > :after
ORDER BY lock_id LIMIT :locks_max
