-- What ids were used for first, however long ago: the one question that everybody asks.
SELECT DISTINCT ON (op) op, epoch, n, fingerprint FROM known_id WHERE op = ANY (CAST(:ops AS text[])) ORDER BY op, epoch, n
