-- Lists of open locks, transfers whose units came back to their source, and events of units that were regraded.

-- Open locks in the order of their ids, for lists and for the running check.
CREATE INDEX lock_open_id ON lock (lock_id) WHERE status IN ('held', 'confirmed', 'partly_deducted');

-- An eighth item of a transfer's line has the units that came back to the source. Here they count as cancelled, not as
-- shipped: so sums of what is on the way, or still to ship, are right as they are, also those of the version before.
CREATE OR REPLACE VIEW transfer_line AS
SELECT
    transfer.shard,
    transfer.transfer_id,
    transfer.opened_epoch,
    transfer.opened_n,
    transfer.status,
    transfer.record ->> 'a' AS source,
    transfer.record ->> 'b' AS destination,
    line ->> 0 AS sku,
    (line ->> 1)::bigint AS quantity,
    (line ->> 2)::bigint - coalesce((line ->> 7)::bigint, 0) AS shipped,
    (line ->> 3)::bigint AS received,
    (line ->> 4)::bigint AS damaged,
    (line ->> 5)::bigint AS lost,
    (line ->> 6)::bigint + coalesce((line ->> 7)::bigint, 0) AS cancelled
FROM transfer
CROSS JOIN LATERAL jsonb_array_elements(transfer.record -> 'n') AS line;

-- Events of the inbox that wait for their turn or for a person, as what they would change on the shelf once booked;
-- a count would change nobody knows what (units null). A schema without an inbox has none.
CREATE OR REPLACE FUNCTION waiting_events(of_warehouse text, up_to timestamptz, of_status text)
RETURNS TABLE (source text, event_id text, type text, sku text, state text, units bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass('inbox') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT inbox.source, inbox.event_id, inbox.event ->> 'type', inbox.event ->> 'sku', side.state, side.units
    FROM inbox
    CROSS JOIN LATERAL (SELECT
        coalesce((inbox.event ->> 'quantity')::bigint, 0) AS quantity,
        coalesce((inbox.event ->> 'damaged')::bigint, 0) AS damaged,
        'damaged' IN (inbox.event ->> 'condition', inbox.event ->> 'state') AS is_damaged,
        CASE inbox.event ->> 'from' WHEN 'available' THEN -1 ELSE 1 END AS grade_sign
    ) AS said
    CROSS JOIN LATERAL (SELECT CASE
        WHEN inbox.event ->> 'occurred_at' ~ '^[0-9]+$' THEN to_timestamp((inbox.event ->> 'occurred_at')::bigint / 1000.0)
        ELSE (inbox.event ->> 'occurred_at')::timestamptz
    END AS at) AS happened
    CROSS JOIN LATERAL (VALUES
        ('on_hand', CASE
            WHEN inbox.event ->> 'type' IN ('shipped', 'transfer_shipped') THEN -said.quantity
            WHEN inbox.event ->> 'type' IN ('received', 'transfer_received') THEN said.quantity
            WHEN inbox.event ->> 'type' IN ('returned', 'adjusted') AND NOT said.is_damaged THEN said.quantity
            WHEN inbox.event ->> 'type' = 'regraded' THEN said.grade_sign * said.quantity
            WHEN inbox.event ->> 'type' = 'counted' THEN NULL
            ELSE 0
        END),
        ('damaged', CASE
            WHEN inbox.event ->> 'type' IN ('received', 'transfer_received') THEN said.damaged
            WHEN inbox.event ->> 'type' IN ('returned', 'adjusted') AND said.is_damaged THEN said.quantity
            WHEN inbox.event ->> 'type' = 'regraded' THEN -said.grade_sign * said.quantity
            WHEN inbox.event ->> 'type' = 'counted' THEN NULL
            ELSE 0
        END)
    ) AS side (state, units)
    WHERE inbox.status = of_status AND inbox.warehouse = of_warehouse AND happened.at <= up_to
        AND side.units IS DISTINCT FROM 0;
END $$;
