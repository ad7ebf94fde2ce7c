-- A shipment of the newest lock of an id: what a route took for it and when, as JSON (null: no route did); whether it was
-- voided, whether events told an older version of it, and whether some of it is in quarantine. No row if there is no such lock.
WITH newest AS (
    SELECT opened_epoch, opened_n FROM lock WHERE lock.lock_id = :lock_id
    UNION ALL
    SELECT opened_epoch, opened_n FROM closed_lock WHERE closed_lock.lock_id = :lock_id
    ORDER BY opened_epoch DESC, opened_n DESC LIMIT 1
), shipped AS (
    SELECT event.shard, event.epoch, event.n, event.recorded_at, event.occurred_at FROM newest
    JOIN event ON event.op = :shipment_op AND (event.epoch, event.n) > (newest.opened_epoch, newest.opened_n)
    WHERE event.kind = 'deduct'
)
SELECT
    (
        SELECT json_agg(json_build_array(sku, units, warehouse) ORDER BY line) FROM (
            SELECT
                move.sku, move.warehouse, min(move.line) AS line,
                sum(CASE WHEN move.target = 'customer' THEN move.quantity ELSE -move.quantity END) AS units
            FROM shipped JOIN move USING (shard, epoch, n, recorded_at)
            WHERE 'customer' IN (move.source, move.target)
            GROUP BY move.sku, move.warehouse
        ) AS taken WHERE units > 0
    ) AS lines,
    (SELECT (extract(epoch FROM min(occurred_at)) * 1000)::bigint FROM shipped) AS occurred_at_ms,
    EXISTS (
        SELECT FROM event WHERE event.op = :void_op AND (event.epoch, event.n) > (newest.opened_epoch, newest.opened_n)
    ) AS is_voided,
    EXISTS (
        SELECT FROM event_id
        WHERE event_id.op = :shipment_op AND event_id.fingerprint = :told
            AND (event_id.epoch, event_id.n) > (newest.opened_epoch, newest.opened_n)
    ) AS is_reported,
    EXISTS (
        SELECT FROM shipped JOIN quarantine USING (shard, epoch, n)
        WHERE quarantine.part = 'move' AND quarantine.ended_as IS DISTINCT FROM 'applied'
    ) AS is_in_quarantine
FROM newest
