-- Every event of a shard that is not archived, in order.
SELECT
    epoch, n, schema, kind, (extract(epoch FROM recorded_at) * 1000)::bigint AS recorded_at,
    (extract(epoch FROM occurred_at) * 1000)::bigint AS occurred_at, op, fingerprint, who, reason, lock_id, lock, prev,
    tip, document_kind, document_id, document, seal
FROM event WHERE shard = $1 ORDER BY epoch, n
