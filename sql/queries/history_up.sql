-- A page of a SKU's moves by version, the oldest first, each with the event that made it.
SELECT
    move.*, event.kind, event.op, event.who, event.reason AS event_reason, event.lock_id, event.document_kind,
    event.document_id
FROM (
    SELECT * FROM move WHERE move.sku = :sku AND move.version > :after ORDER BY move.version LIMIT :moves_max
) AS move
LEFT JOIN event USING (shard, epoch, n, recorded_at)
ORDER BY move.version
