-- Every event of a shard that is not archived, in order. Apart: a part of it was refused, and is not among its moves.
SELECT
    epoch, n, schema, kind, (extract(epoch FROM recorded_at) * 1000)::bigint AS recorded_at,
    (extract(epoch FROM occurred_at) * 1000)::bigint AS occurred_at, op, fingerprint, who, reason, lock_id, lock, prev,
    tip, document_kind, document_id, document, seal,
    EXISTS (
        SELECT FROM quarantine AS parked
        WHERE (parked.shard, parked.epoch, parked.n) = (event.shard, event.epoch, event.n)
            AND parked.ended_as IS DISTINCT FROM 'applied'
    ) AS apart
FROM event WHERE shard = $1 ORDER BY epoch, n
