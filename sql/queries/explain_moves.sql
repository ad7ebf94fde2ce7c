-- A page of a SKU's moves by the time they happened, the newest first, each with the event that made it.
SELECT
    move.*, event.kind, event.op, event.who, event.reason AS event_reason, event.lock_id, event.document_kind,
    event.document_id
FROM (
    SELECT * FROM move
    WHERE move.sku = :sku AND (move.occurred_at, move.version) < (CAST(:at AS timestamptz), CAST(:version AS bigint))
    ORDER BY move.occurred_at DESC, move.version DESC LIMIT :moves_max
) AS move
LEFT JOIN event USING (shard, epoch, n, recorded_at)
ORDER BY move.occurred_at DESC, move.version DESC
