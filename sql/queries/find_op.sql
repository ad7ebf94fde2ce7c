-- What an id was used for, however long ago: the hot store forgets ids beyond the horizon.
SELECT epoch, n, fingerprint FROM event WHERE op = :op ORDER BY epoch, n LIMIT 1
