SELECT greatest(
    (SELECT coalesce(max(epoch), 0) FROM epoch WHERE shard = :shard),
    (SELECT coalesce(max(epoch), 0) FROM position WHERE shard = :shard)
) AS epoch
