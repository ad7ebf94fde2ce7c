-- What an id was used for, however long ago: the hot store forgets ids beyond the horizon.
SELECT known.epoch, known.n, known.fingerprint FROM (
    SELECT epoch, n, fingerprint FROM event WHERE event.op = :op
    UNION ALL
    SELECT epoch, n, fingerprint FROM archived_op WHERE archived_op.op = :op
) AS known
ORDER BY known.epoch, known.n LIMIT 1
