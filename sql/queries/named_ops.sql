-- What ids were used for, as the hot store remembers it.
SELECT op, fingerprint, epoch, n, lock, document FROM known_id WHERE op = ANY ($2::text[]) AND shard = $1 ORDER BY epoch, n
