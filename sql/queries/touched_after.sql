-- What the events after a position were about.
SELECT
    array(
        SELECT sku FROM move WHERE shard = $1 AND (epoch, n) > ($2, $3)
        UNION
        SELECT document_id FROM event WHERE shard = $1 AND (epoch, n) > ($2, $3) AND document_kind = 'counted'
        UNION
        SELECT agreed.sku FROM event CROSS JOIN LATERAL jsonb_object_keys(event.document -> 'skus') AS agreed (sku)
        WHERE shard = $1 AND (epoch, n) > ($2, $3) AND document_kind = 'count'
    ) AS skus,
    array(
        SELECT lock_id FROM event WHERE shard = $1 AND (epoch, n) > ($2, $3) AND lock_id IS NOT NULL
        UNION
        SELECT document_id FROM event WHERE shard = $1 AND (epoch, n) > ($2, $3) AND document_kind = 'lock'
    ) AS locks,
    array(
        SELECT DISTINCT document_id FROM event
        WHERE shard = $1 AND (epoch, n) > ($2, $3) AND document_kind = 'transfer'
    ) AS transfers,
    array(
        SELECT DISTINCT op FROM event WHERE shard = $1 AND (epoch, n) > ($2, $3) AND op IS NOT NULL
        UNION
        SELECT op FROM event_id WHERE shard = $1 AND (epoch, n) > ($2, $3)
    ) AS ops,
    array(SELECT DISTINCT family FROM document_sum WHERE shard = $1 AND (epoch, n) > ($2, $3)) AS families
