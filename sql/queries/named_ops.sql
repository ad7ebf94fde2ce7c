SELECT op, fingerprint, epoch, n, lock, document FROM event
WHERE shard = $1 AND op = ANY ($2::text[]) ORDER BY epoch, n
