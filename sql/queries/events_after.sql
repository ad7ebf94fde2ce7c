-- The next events after a position, as the outbox would have them: moves in their order, counts as lists.
SELECT
    event.epoch, event.n, event.schema, event.kind, event.op, event.fingerprint, event.who, event.reason,
    (extract(epoch FROM event.recorded_at) * 1000)::bigint AS recorded_at,
    CASE WHEN event.occurred_at <> event.recorded_at
        THEN (extract(epoch FROM event.occurred_at) * 1000)::bigint END AS occurred_at,
    event.lock_id, event.lock, event.document_kind, event.document_id, event.document, event.prev, event.tip,
    (
        SELECT json_agg(json_build_array(
            move.sku, move.version, move.warehouse, move.source, move.target, move.quantity,
            json_build_array(
                move.available_after, move.locked_after, move.damaged_after, move.in_transit_after, move.buffer_after
            ),
            move.reason, move.to_warehouse,
            CASE WHEN move.to_warehouse IS NOT NULL THEN json_build_array(
                move.to_available_after, move.to_locked_after, move.to_damaged_after, move.to_in_transit_after,
                move.to_buffer_after
            ) END,
            CASE WHEN move.occurred_at <> event.occurred_at
                THEN (extract(epoch FROM move.occurred_at) * 1000)::bigint END
        ) ORDER BY move.line)
        FROM move
        WHERE move.shard = event.shard AND move.epoch = event.epoch AND move.n = event.n
            AND move.recorded_at = event.recorded_at
    ) AS moves,
    (
        SELECT json_agg(json_build_array(event_id.op, event_id.fingerprint, event_id.units))
        FROM event_id
        WHERE event_id.shard = event.shard AND event_id.epoch = event.epoch AND event_id.n = event.n
    ) AS told
FROM event
WHERE event.shard = $1 AND (event.epoch, event.n) > ($2, $3) AND (event.epoch, event.n) <= ($4, $5)
ORDER BY event.epoch, event.n LIMIT $6
