-- What ids were used for first, however long ago.
SELECT DISTINCT ON (op) op, epoch, n, fingerprint FROM event WHERE op = ANY (:ops) ORDER BY op, epoch, n
