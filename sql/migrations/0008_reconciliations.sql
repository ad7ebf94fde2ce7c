-- Reconciliations: what a warehouse counted against what the ledger says was there, and what was done about it.

-- One comparison. It begins once the ledger has passed (epoch, n). whole: the snapshot says itself where it ends.
CREATE TABLE reconciliation (
    number            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reconciliation_id text        NOT NULL UNIQUE GENERATED ALWAYS AS ('R' || number::text || '-' || fingerprint) STORED,
    warehouse         text        NOT NULL,
    as_of             timestamptz NOT NULL,
    fingerprint       text        NOT NULL,
    lines             bigint      NOT NULL,
    counts_damaged    boolean     NOT NULL,
    whole             boolean     NOT NULL,
    who               text        NOT NULL,
    requested_at      timestamptz NOT NULL DEFAULT now(),
    shard             smallint    NOT NULL,
    epoch             bigint      NOT NULL,
    n                 bigint      NOT NULL,
    status            text        NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'done', 'failed')),
    failure           text,
    finished_at       timestamptz,
    totals            jsonb       NOT NULL DEFAULT '{}'
);
-- The same snapshot again is the same reconciliation; one that failed may be sent again.
CREATE UNIQUE INDEX reconciliation_content ON reconciliation (warehouse, as_of, fingerprint) WHERE status <> 'failed';
CREATE INDEX reconciliation_running ON reconciliation (number) WHERE status = 'running';

-- What was counted, while it is compared: each snapshot has an unlogged table like this one, which stays empty.
CREATE TABLE snapshot_line (
    line    bigint NOT NULL,
    sku     text   NOT NULL,
    on_hand bigint NOT NULL,
    damaged bigint
);

-- A difference: counted less expected. cause and evidence: likely, from what the ledger and the inbox know.
CREATE TABLE discrepancy (
    number     bigint NOT NULL REFERENCES reconciliation,
    sku        text   NOT NULL,
    state      text   NOT NULL CHECK (state IN ('on_hand', 'damaged')),
    kind       text   NOT NULL,
    expected   bigint NOT NULL,
    counted    bigint NOT NULL,
    difference bigint NOT NULL CHECK (difference <> 0),
    cause      text,
    evidence   jsonb  NOT NULL DEFAULT '{}',
    treatment  text   NOT NULL DEFAULT 'reported',
    treated_by text,
    treated_at timestamptz,
    PRIMARY KEY (number, sku, state)
);
CREATE INDEX discrepancy_sku ON discrepancy (sku, state, number);
CREATE INDEX discrepancy_underway ON discrepancy (number) WHERE treatment IN ('approved', 'undoing');

-- What each move changed on a shelf: good or damaged units of a SKU in a warehouse. A lock changes nothing there.
CREATE VIEW shelf_change AS
SELECT
    move.shard, move.epoch, move.n, move.line, move.sku, side.warehouse,
    CASE WHEN side.place = 'damaged' THEN 'damaged' ELSE 'on_hand' END AS state,
    side.units, move.source, move.target, move.quantity, move.occurred_at, move.recorded_at
FROM move
CROSS JOIN LATERAL (VALUES
    (move.warehouse, move.source, -move.quantity),
    (coalesce(move.to_warehouse, move.warehouse), move.target, move.quantity)
) AS side (warehouse, place, units)
WHERE side.place IN ('available', 'locked', 'damaged')
    AND NOT (
        move.source IN ('available', 'locked') AND move.target IN ('available', 'locked')
        AND move.to_warehouse IS NULL
    );

-- Events of the inbox that wait for their turn or for a person, as what they would change on the shelf once booked;
-- a count would change nobody knows what (units null). A schema without an inbox has none.
CREATE FUNCTION waiting_events(of_warehouse text, up_to timestamptz, of_status text)
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
        'damaged' IN (inbox.event ->> 'condition', inbox.event ->> 'state') AS is_damaged
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
            WHEN inbox.event ->> 'type' = 'counted' THEN NULL
            ELSE 0
        END),
        ('damaged', CASE
            WHEN inbox.event ->> 'type' IN ('received', 'transfer_received') THEN said.damaged
            WHEN inbox.event ->> 'type' IN ('returned', 'adjusted') AND said.is_damaged THEN said.quantity
            WHEN inbox.event ->> 'type' = 'counted' THEN NULL
            ELSE 0
        END)
    ) AS side (state, units)
    WHERE inbox.status = of_status AND inbox.warehouse = of_warehouse AND happened.at <= up_to
        AND side.units IS DISTINCT FROM 0;
END $$;

-- Numbers that a source has left out: later events of it wait for them. A schema without an inbox has none.
CREATE FUNCTION missing_sequences(of_warehouse text)
RETURNS TABLE (source text, first_number bigint, last_number bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass('inbox_sequence') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT known.source, known.before + 1, known.number - 1
    FROM (
        SELECT told.source, told.number, lag(told.number) OVER (PARTITION BY told.source ORDER BY told.number) AS before
        FROM (
            SELECT inbox_sequence.source, inbox_sequence.number FROM inbox_sequence
            WHERE inbox_sequence.warehouse = of_warehouse
            UNION
            SELECT inbox.source, inbox.sequence FROM inbox JOIN inbox_sequence USING (source, warehouse)
            WHERE inbox.warehouse = of_warehouse AND inbox.status = 'parked' AND inbox.sequence > inbox_sequence.number
        ) AS told
    ) AS known
    WHERE known.number > known.before + 1;
END $$;

-- What happened since a time, in all of a warehouse: moves come in about the order of their times.
CREATE INDEX move_occurred_at ON move USING brin (occurred_at);
