-- The whole schema: what all of sql/migrations together make. A test holds the two together.

CREATE TYPE place AS ENUM (
    'available', 'locked', 'damaged', 'in_transit', 'buffer', 'supplier', 'customer', 'adjustment'
);

-- One accepted command each. (epoch, n) is the outbox id; tip is this event's fingerprint, prev the one before it.
CREATE TABLE event (
    shard       smallint    NOT NULL,
    epoch       bigint      NOT NULL,
    n           bigint      NOT NULL,
    schema      smallint    NOT NULL,
    kind        text        NOT NULL,
    recorded_at timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    op          text,
    fingerprint text,
    who         text,
    reason      text,
    lock_id     text,
    lock        jsonb,
    prev        text        NOT NULL,
    tip         text        NOT NULL,
    document_kind text,
    document_id   text,
    document      jsonb,
    seal          bytea,
    PRIMARY KEY (shard, epoch, n, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX event_lock_id ON event (lock_id) WHERE lock_id IS NOT NULL;
CREATE INDEX event_op ON event (op) WHERE op IS NOT NULL;
CREATE INDEX event_document_id ON event (document_id) WHERE document_id IS NOT NULL;
-- seal: a fingerprint of the event and its moves as they are kept here, made by the writer; older events have none.
COMMENT ON COLUMN event.lock IS 'the fields of the lock''s record that this event set; null: removed';
COMMENT ON COLUMN event.document IS 'the fields of the document''s record that this event set';

-- A quantity of a SKU from one place to another, the SKU's version it made, and the counts it left there.
-- Zero units make a SKU known in a warehouse, or note a new buffer.
CREATE TABLE move (
    shard            smallint    NOT NULL,
    epoch            bigint      NOT NULL,
    n                bigint      NOT NULL,
    line             smallint    NOT NULL,
    sku              text        NOT NULL,
    version          bigint      NOT NULL,
    warehouse        text        NOT NULL,
    source           place       NOT NULL,
    target           place       NOT NULL,
    quantity         bigint      NOT NULL CHECK (quantity >= 0),
    reason           text,
    available_after  bigint      NOT NULL,
    locked_after     bigint      NOT NULL,
    damaged_after    bigint      NOT NULL,
    in_transit_after bigint      NOT NULL,
    buffer_after     bigint      NOT NULL,
    recorded_at      timestamptz NOT NULL,
    occurred_at      timestamptz NOT NULL,
    to_warehouse        text,
    to_available_after  bigint,
    to_locked_after     bigint,
    to_damaged_after    bigint,
    to_in_transit_after bigint,
    to_buffer_after     bigint,
    PRIMARY KEY (shard, epoch, n, line, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX move_sku ON move (sku, version);
CREATE INDEX move_sku_occurred_at ON move (sku, occurred_at);
CREATE INDEX move_occurred_at ON move USING brin (occurred_at);
COMMENT ON COLUMN move.to_warehouse IS 'where target is, if that is another warehouse; to_… are the counts left there';

-- The projection of counts. The SKU's version is the highest of its rows.
CREATE TABLE stock (
    shard      smallint NOT NULL,
    sku        text     NOT NULL,
    warehouse  text     NOT NULL,
    version    bigint   NOT NULL,
    available  bigint   NOT NULL,
    locked     bigint   NOT NULL CHECK (locked >= 0),
    damaged    bigint   NOT NULL CHECK (damaged >= 0),
    in_transit bigint   NOT NULL CHECK (in_transit >= 0),
    buffer     bigint   NOT NULL CHECK (buffer >= 0),
    -- Running sums, so that nobody has to read a thousand moves for a balance: the units that went to each place outside,
    -- less those that came from there; and when the moves since the last balance were recorded and happened. Where
    -- `summed` is not `version`, they have to be summed anew.
    supplier      bigint NOT NULL DEFAULT 0,
    customer      bigint NOT NULL DEFAULT 0,
    adjustment    bigint NOT NULL DEFAULT 0,
    recorded_at   timestamptz,
    occurred_from timestamptz,
    occurred_to   timestamptz,
    summed        bigint,
    PRIMARY KEY (sku, warehouse)
);
COMMENT ON COLUMN stock.supplier IS 'units that went there less those that came from there; so customer and adjustment';
COMMENT ON COLUMN stock.summed IS 'the version up to which the sums and times hold';

-- The projection of locks: record has the hot store's fields (s status, v version, f fingerprint, x expires_at in ms,
-- n lines, q request, o original lines, y original expiry, e ended by, r what came back, m what a shipment took though
-- it was missing, w earlier endings). A lock_id may come again after the horizon.
CREATE TABLE lock (
    shard         smallint    NOT NULL,
    lock_id       text        NOT NULL,
    opened_epoch  bigint      NOT NULL,
    opened_n      bigint      NOT NULL,
    changed_epoch bigint      NOT NULL,
    changed_n     bigint      NOT NULL,
    changed_at    timestamptz NOT NULL,
    record        jsonb       NOT NULL,
    status        text        NOT NULL GENERATED ALWAYS AS (record ->> 's') STORED,
    PRIMARY KEY (lock_id, opened_epoch, opened_n)
);
CREATE INDEX lock_open ON lock (status) WHERE status IN ('held', 'confirmed', 'partly_deducted');
CREATE INDEX lock_open_id ON lock (lock_id) WHERE status IN ('held', 'confirmed', 'partly_deducted');
CREATE INDEX lock_changed_at ON lock (changed_at);

CREATE VIEW lock_line AS
SELECT
    lock.shard,
    lock.lock_id,
    lock.opened_epoch,
    lock.opened_n,
    lock.status,
    line ->> 0 AS sku,
    line ->> 1 AS warehouse,
    (line ->> 2)::bigint AS quantity,
    (line ->> 3)::bigint AS deducted
FROM lock
CROSS JOIN LATERAL jsonb_array_elements(lock.record -> 'n') AS line;

-- The projection of transfers: record has the hot store's fields (s status, v version, f fingerprint, a from, b to,
-- n lines). A transfer_id may come again after the horizon.
CREATE TABLE transfer (
    shard         smallint    NOT NULL,
    transfer_id   text        NOT NULL,
    opened_epoch  bigint      NOT NULL,
    opened_n      bigint      NOT NULL,
    changed_epoch bigint      NOT NULL,
    changed_n     bigint      NOT NULL,
    changed_at    timestamptz NOT NULL,
    record        jsonb       NOT NULL,
    status        text        NOT NULL GENERATED ALWAYS AS (record ->> 's') STORED,
    PRIMARY KEY (transfer_id, opened_epoch, opened_n)
);
CREATE INDEX transfer_open ON transfer (status) WHERE status IN ('requested', 'partly_shipped', 'shipped');
CREATE INDEX transfer_changed_at ON transfer (changed_at);

-- An eighth item of a line has the units that came back to the source; here they count as cancelled, not as shipped.
CREATE VIEW transfer_line AS
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

-- What was ordered from a supplier. A plan: it moves no stock. closed_at: nothing more is expected.
CREATE TABLE purchase_order (
    purchase_order_id text        PRIMARY KEY,
    warehouse         text        NOT NULL,
    fingerprint       text        NOT NULL,
    who               text        NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    closed_at         timestamptz
);

CREATE TABLE purchase_order_line (
    purchase_order_id text     NOT NULL REFERENCES purchase_order,
    line              smallint NOT NULL,
    sku               text     NOT NULL,
    quantity          bigint   NOT NULL CHECK (quantity > 0),
    expected_at       timestamptz,
    PRIMARY KEY (purchase_order_id, line)
);
CREATE INDEX purchase_order_line_sku ON purchase_order_line (sku);

-- What came in for an order, by receipt and SKU; folded from events, for orders that nobody has planned too.
CREATE TABLE purchase_order_receipt (
    purchase_order_id text   NOT NULL,
    sku               text   NOT NULL,
    epoch             bigint NOT NULL,
    n                 bigint NOT NULL,
    good              bigint NOT NULL,
    damaged           bigint NOT NULL,
    PRIMARY KEY (purchase_order_id, sku, epoch, n)
);

-- What of each line has not come yet: what arrived, damaged or not, counts for the line that is expected first.
CREATE VIEW purchase_order_outstanding AS
SELECT
    line.purchase_order_id,
    line.line,
    line.sku,
    line.quantity,
    line.expected_at,
    greatest(0, least(line.quantity, line.up_to - arrived.units))::bigint AS outstanding
FROM (
    SELECT
        *, sum(quantity) OVER (PARTITION BY purchase_order_id, sku ORDER BY expected_at NULLS LAST, line) AS up_to
    FROM purchase_order_line
) AS line
CROSS JOIN LATERAL (
    SELECT coalesce(sum(receipt.good + receipt.damaged), 0) AS units FROM purchase_order_receipt AS receipt
    WHERE receipt.purchase_order_id = line.purchase_order_id AND receipt.sku = line.sku
) AS arrived;

-- Less is on the shelf than is promised: a case for a person. Opened and closed with the counts it is about.
CREATE TABLE shortage (
    shortage_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard       smallint    NOT NULL,
    sku         text        NOT NULL,
    warehouse   text        NOT NULL,
    units       bigint      NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz
);
CREATE UNIQUE INDEX shortage_open ON shortage (sku, warehouse) WHERE closed_at IS NULL;

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

-- How far the ledger is, per shard; the row is the worker's lease. Ids up to forgotten_… were dropped from the hot store.
CREATE TABLE position (
    shard           smallint PRIMARY KEY,
    epoch           bigint      NOT NULL,
    n               bigint      NOT NULL,
    tip             text        NOT NULL,
    recorded_at     timestamptz NOT NULL,
    forgotten_epoch bigint      NOT NULL DEFAULT 0,
    forgotten_n     bigint      NOT NULL DEFAULT 0
);

-- Every epoch, and where the one before it ended as far as was known when it was opened.
CREATE TABLE epoch (
    shard      smallint    NOT NULL,
    epoch      bigint      NOT NULL,
    prev_epoch bigint      NOT NULL,
    prev_n     bigint      NOT NULL,
    prev_tip   text        NOT NULL,
    home       text        NOT NULL,
    finding    text        NOT NULL,
    opened_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch)
);

-- Who may recover a shard's hot store now. A row, not an advisory lock: those vanish with a pooled connection.
CREATE TABLE recovery_lease (
    shard   smallint PRIMARY KEY,
    fence   bigint      NOT NULL,
    holder  text        NOT NULL,
    until   timestamptz NOT NULL
);

-- Outbox entries of a branch that the ledger did not take: kept, listed, never applied.
CREATE TABLE lost_event (
    shard    smallint    NOT NULL,
    epoch    bigint      NOT NULL,
    n        bigint      NOT NULL,
    tip      text        NOT NULL,
    lock_id  text,
    event    jsonb       NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    finding  text        NOT NULL DEFAULT 'different',
    PRIMARY KEY (shard, epoch, n, tip)
);
COMMENT ON COLUMN lost_event.finding IS 'fork, different: a branch not taken; named: told by a process that had acknowledged it; carry_over: its effect was booked';

-- How far a shard's memory was seen to be, by epoch, where the ledger was not there yet. Rows of epochs that are over
-- are taken out again, and what is nowhere then goes to lost_range.
CREATE TABLE seen (
    shard   smallint    NOT NULL,
    epoch   bigint      NOT NULL,
    n       bigint      NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch)
);

-- Numbers of events that there were, and that the ledger never got. What is known of some of them is in lost_event.
CREATE TABLE lost_range (
    shard    smallint    NOT NULL,
    epoch    bigint      NOT NULL,
    first_n  bigint      NOT NULL,
    last_n   bigint      NOT NULL CHECK (last_n >= first_n),
    seen_at  timestamptz NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch, first_n)
);

-- Ids that an event of the inbox is known by besides its op: of the shipment, receipt, … that it tells of.
CREATE TABLE event_id (
    shard       smallint    NOT NULL,
    epoch       bigint      NOT NULL,
    n           bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    op          text        NOT NULL,
    fingerprint text        NOT NULL,
    units       text        NOT NULL
);
CREATE INDEX event_id_op ON event_id (op);
CREATE INDEX event_id_position ON event_id (shard, epoch, n);

-- How far a source's numbered events of a warehouse are.
CREATE TABLE inbox_sequence (
    shard     smallint NOT NULL,
    source    text     NOT NULL,
    warehouse text     NOT NULL,
    number    bigint   NOT NULL,
    PRIMARY KEY (source, warehouse)
);

-- What was counted when: a fact of before that comes later changes nothing of it.
CREATE TABLE counted (
    shard      smallint    NOT NULL,
    sku        text        NOT NULL,
    warehouse  text        NOT NULL,
    counted_at timestamptz NOT NULL,
    damaged    boolean     NOT NULL,
    PRIMARY KEY (sku, warehouse, counted_at)
);

-- Events that are not booked yet, and what became of them: parked ones are tried again by the worker and booked at
-- `until` whatever is missing, quarantined ones wait for a person.
CREATE TABLE inbox (
    source      text        NOT NULL,
    event_id    text        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('parked', 'quarantined', 'applied', 'duplicate', 'dropped')),
    why         text        NOT NULL,
    event       jsonb       NOT NULL,
    fingerprint text        NOT NULL,
    warehouse   text        NOT NULL,
    sequence    bigint,
    who         text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    until       timestamptz NOT NULL,
    next_at     timestamptz NOT NULL DEFAULT now(),
    tries       integer     NOT NULL DEFAULT 0,
    closed_at   timestamptz,
    PRIMARY KEY (source, event_id)
);
CREATE INDEX inbox_parked ON inbox (next_at) WHERE status = 'parked';
CREATE INDEX inbox_open ON inbox (received_at) WHERE status IN ('parked', 'quarantined');

-- What the hot store had, and what it was set to after the ledger, where a branch was not taken.
CREATE TABLE stock_correction (
    shard     smallint    NOT NULL,
    epoch     bigint      NOT NULL,
    sku       text        NOT NULL,
    warehouse text        NOT NULL,
    before    jsonb       NOT NULL,
    after     jsonb       NOT NULL,
    found_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch, sku, warehouse)
);

-- Which installation this ledger is of: its hot store carries the same id. One row, made when a gate first opens.
CREATE TABLE installation (
    id      text    NOT NULL,
    the_one boolean PRIMARY KEY DEFAULT true CHECK (the_one)
);

-- The counts of a SKU at one of its versions, a row a warehouse: every so many moves, and where older moves were archived.
-- supplier, customer, adjustment: units that went there from this warehouse, less those that came from there.
-- occurred_from and occurred_to: the first and last occurred_at of the moves since the balance before.
CREATE TABLE balance (
    shard         smallint    NOT NULL,
    sku           text        NOT NULL,
    version       bigint      NOT NULL,
    warehouse     text        NOT NULL,
    recorded_at   timestamptz NOT NULL,
    occurred_from timestamptz NOT NULL,
    occurred_to   timestamptz NOT NULL,
    available     bigint      NOT NULL,
    locked        bigint      NOT NULL,
    damaged       bigint      NOT NULL,
    in_transit    bigint      NOT NULL,
    buffer        bigint      NOT NULL,
    supplier      bigint      NOT NULL,
    customer      bigint      NOT NULL,
    adjustment    bigint      NOT NULL,
    PRIMARY KEY (sku, version, warehouse)
);

-- A SKU's moves in pieces: from one balance (since) up to the next, and the last piece, which has no end yet.
CREATE FUNCTION pieces(of_sku text) RETURNS TABLE (
    since bigint, upto bigint, recorded_at timestamptz, occurred_from timestamptz, occurred_to timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT lag(known.version, 1, 0::bigint) OVER (ORDER BY known.version), known.*
    FROM (
        SELECT DISTINCT balance.version, balance.recorded_at, balance.occurred_from, balance.occurred_to
        FROM balance WHERE balance.sku = of_sku
    ) AS known
    UNION ALL
    SELECT coalesce(max(balance.version), 0), 9223372036854775807, 'infinity', '-infinity', 'infinity'
    FROM balance WHERE balance.sku = of_sku
$$;

-- Months of events and moves that were taken out of the ledger: everything recorded before `until`, and where that ended.
CREATE TABLE archived_month (
    shard       smallint    NOT NULL,
    until       timestamptz NOT NULL,
    epoch       bigint      NOT NULL,
    n           bigint      NOT NULL,
    tip         text        NOT NULL,
    events      bigint      NOT NULL,
    moves       bigint      NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, until)
);

-- Where sums start: the balance of each SKU that has archived moves. (Earlier balances are removed with those moves.)
CREATE VIEW balance_base AS
SELECT balance.* FROM balance
WHERE balance.recorded_at < (SELECT max(archived_month.until) FROM archived_month);

-- Ids used by archived events on no lock: receipts and counts are taken once, however late they are repeated.
CREATE TABLE archived_op (
    op          text   PRIMARY KEY,
    fingerprint text   NOT NULL,
    epoch       bigint NOT NULL,
    n           bigint NOT NULL
);

-- Locks that ended long ago, taken out of `lock`.
CREATE TABLE closed_lock (
    shard         smallint    NOT NULL,
    lock_id       text        NOT NULL,
    opened_epoch  bigint      NOT NULL,
    opened_n      bigint      NOT NULL,
    changed_epoch bigint      NOT NULL,
    changed_n     bigint      NOT NULL,
    changed_at    timestamptz NOT NULL,
    record        jsonb       NOT NULL,
    PRIMARY KEY (lock_id, opened_epoch, opened_n)
);

-- What the running check found: two figures that should be one. gone_at: it was looked at again, and was gone.
CREATE TABLE drift (
    drift_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard        smallint    NOT NULL,
    what         text        NOT NULL,
    place        text        NOT NULL,
    left_name    text        NOT NULL,
    left_figure  text        NOT NULL,
    right_name   text        NOT NULL,
    right_figure text        NOT NULL,
    found_at     timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    gone_at      timestamptz
);
CREATE UNIQUE INDEX drift_open ON drift (shard, what, place, left_name, right_name) WHERE gone_at IS NULL;

-- The check runs all the time, whatever its name says: who runs it, until when nobody else may, and when it last came
-- through.
CREATE TABLE daily_check (
    shard       smallint    PRIMARY KEY,
    holder      text        NOT NULL,
    until       timestamptz NOT NULL,
    began_at    timestamptz NOT NULL,
    finished_at timestamptz,
    compared    bigint      NOT NULL DEFAULT 0
);

-- What Postgres refused of events, and what waits behind it; the rest of the same events is booked.
-- The whole event, as it came: of each one of which any part is in quarantine.
CREATE TABLE quarantined_event (
    shard    smallint    NOT NULL,
    epoch    bigint      NOT NULL,
    n        bigint      NOT NULL,
    body     bytea       NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch, n)
);

-- Parts of events, in order, by what they are about: the moves of a SKU, the record of a lock or transfer.
CREATE TABLE quarantine (
    shard     smallint    NOT NULL,
    epoch     bigint      NOT NULL,
    n         bigint      NOT NULL,
    part      text        NOT NULL CHECK (part IN ('move', 'document', 'event')),
    line      integer     NOT NULL,
    subject   text        NOT NULL,
    version   bigint,
    sqlstate  text,
    error     text,
    parked_at timestamptz NOT NULL DEFAULT now(),
    ended_at  timestamptz,
    ended_as  text        CHECK (ended_as IN ('applied', 'dropped', 'kept raw')),
    reason    text,
    PRIMARY KEY (shard, epoch, n, part, line),
    FOREIGN KEY (shard, epoch, n) REFERENCES quarantined_event
);
CREATE INDEX quarantine_open ON quarantine (shard, part, subject, epoch, n, line) WHERE ended_at IS NULL;
COMMENT ON COLUMN quarantine.sqlstate IS 'why Postgres refused it; null: it waits behind one that was refused';

-- By SKU of a family of documents: its sums as the hot store has them (see app/domain/documents.py), who reported, and the
-- event that changed them last. lock_id: what the goods of a return were shipped for.
CREATE TABLE document_sum (
    shard      smallint    NOT NULL,
    family     text        NOT NULL,
    sku        text        NOT NULL,
    sums       jsonb       NOT NULL,
    reporters  text[]      NOT NULL,
    lock_id    text,
    epoch      bigint      NOT NULL,
    n          bigint      NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (family, sku)
);
CREATE INDEX document_sum_changed ON document_sum (epoch, n);

-- What reporters of one document say differently of a SKU: a case for a person. It closes by itself when they agree.
-- said: what they had said when a person decided; nothing else opens it again but that one says more.
CREATE TABLE mismatch (
    mismatch_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard       smallint    NOT NULL,
    family      text        NOT NULL,
    sku         text        NOT NULL,
    differs     text        NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    decision    text        CHECK (decision IN ('accepted', 'dropped')),
    said        jsonb,
    reason      text,
    who         text
);
CREATE UNIQUE INDEX mismatch_open ON mismatch (family, sku) WHERE closed_at IS NULL;
CREATE INDEX mismatch_decided ON mismatch (family, sku) WHERE decision IS NOT NULL;

-- Whether the hot store remembers a lock or transfer: while it is open, and until the event that changed it last is behind
-- the cursor up to which ids are forgotten. What is forgotten and what a repair restores go by this alone.
CREATE FUNCTION remembers(status text, changed_epoch bigint, changed_n bigint, cursor_epoch bigint, cursor_n bigint)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT status NOT IN ('released', 'deducted', 'expired', 'received', 'cancelled')
        OR (changed_epoch, changed_n) > (cursor_epoch, cursor_n)
$$;

-- What every id was used for, wherever its event is by now: those of events, those that events of the inbox are known by
-- besides, and those of archived months.
CREATE VIEW known_id AS
SELECT
    shard, op, fingerprint, epoch, n,
    CASE WHEN op NOT LIKE 'event:%' THEN lock END AS lock,
    CASE WHEN op NOT LIKE 'event:%' THEN document END AS document
FROM event WHERE op IS NOT NULL
UNION ALL
SELECT
    shard, op, fingerprint, epoch, n, NULL,
    jsonb_build_object('op', concat_ws(' ', fingerprint, epoch || '-' || n, units))
FROM event_id
UNION ALL
SELECT 0::smallint, op, fingerprint, epoch, n, NULL, NULL FROM archived_op;

-- A fact is never edited; a correction is a new fact. (A superuser can; `sellable ledger check` finds it.)
REVOKE UPDATE, DELETE, TRUNCATE ON event, move FROM PUBLIC;
DO $$ BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON event, move FROM %I', current_user);
END $$;

-- The list of warehouses. rank: sourcing takes the lowest first, where no setting says otherwise. merged_into: it should
-- never have been, and is listed no more; what was booked there is in that one.
CREATE TABLE warehouse (
    code        text        PRIMARY KEY,
    name        text        NOT NULL DEFAULT '',
    rank        integer,
    closed      boolean     NOT NULL DEFAULT false,
    merged_into text,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Every SKU that has moved or was ordered, under its key (`key_of` in app/domain/codes.py): SKUs of one key are alike.
CREATE TABLE sku_key (
    key text NOT NULL,
    sku text NOT NULL,
    PRIMARY KEY (key, sku)
);

-- What the owner alone can do, as functions that run as the owner: the worker and the API need not own anything. They
-- look for tables in the ledger's own schema first, whoever calls them.

-- The partitions of a day's month, where they are missing; returns the names of those made. Attaching a table that is
-- there, rather than making it in its place, lets readers and the writer go on.
CREATE FUNCTION make_month(of_day date) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    starts timestamp := date_trunc('month', of_day::timestamp);
    made text[] := '{}';
    kind text;
    part text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['event', 'move'] LOOP
        part := format('%s_%s', kind, to_char(starts, 'YYYY_MM'));
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_class WHERE relname = part AND relnamespace = current_schema()::regnamespace
        );
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, kind);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            kind, part, starts AT TIME ZONE 'UTC', (starts + interval '1 month') AT TIME ZONE 'UTC'
        );
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM PUBLIC, %I', part, current_user);
        made := made || part;
    END LOOP;
    RETURN made;
END $$;

-- The partitions of a past month leave the ledger for the schema `archive`: nothing is thrown away.
CREATE FUNCTION archive_month_tables(of_day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    starts timestamp := date_trunc('month', of_day::timestamp);
    kind text;
    part text;
BEGIN
    IF (starts + interval '1 month') AT TIME ZONE 'UTC' > now() THEN
        RAISE EXCEPTION 'the month % is not over', to_char(starts, 'YYYY-MM');
    END IF;
    CREATE SCHEMA IF NOT EXISTS archive;
    FOREACH kind IN ARRAY ARRAY['event', 'move'] LOOP
        part := format('%s_%s', kind, to_char(starts, 'YYYY_MM'));
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM pg_class WHERE relname = part AND relnamespace = current_schema()::regnamespace
        );
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', kind, part);
        EXECUTE format('ALTER TABLE %I SET SCHEMA archive', part);
    END LOOP;
END $$;

-- A table for the lines of a snapshot that is taken in, with the rights that others have to `snapshot_line`.
CREATE FUNCTION make_snapshot_table(of_number bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    made text := format('snapshot_line_%s', of_number);
    granted record;
BEGIN
    IF NOT EXISTS (SELECT FROM reconciliation WHERE number = of_number AND status = 'running') THEN
        RAISE EXCEPTION 'no reconciliation % is running', of_number;
    END IF;
    EXECUTE format('CREATE UNLOGGED TABLE %I (LIKE snapshot_line)', made);
    FOR granted IN
        SELECT known.privilege_type AS privilege, pg_roles.rolname AS who
        FROM pg_class AS template
        CROSS JOIN LATERAL aclexplode(template.relacl) AS known
        JOIN pg_roles ON pg_roles.oid = known.grantee
        WHERE template.oid = 'snapshot_line'::regclass AND known.grantee <> template.relowner
    LOOP
        EXECUTE format('GRANT %s ON %I TO %I', granted.privilege, made, granted.who);
    END LOOP;
END $$;

CREATE FUNCTION drop_snapshot_table(of_number bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', format('snapshot_line_%s', of_number));
END $$;

-- Statistics of differences, or of the lines of one snapshot, for the planner.
CREATE FUNCTION take_statistics(of_table text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF of_table !~ '^(discrepancy|snapshot_line_[0-9]+)$' THEN
        RAISE EXCEPTION 'no statistics are taken of %', of_table;
    END IF;
    EXECUTE format('ANALYZE %I', of_table);
END $$;

DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN
        SELECT oid FROM pg_proc
        WHERE prosecdef AND pronamespace = current_schema()::regnamespace AND proname IN (
            'make_month', 'archive_month_tables', 'make_snapshot_table', 'drop_snapshot_table', 'take_statistics'
        )
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one);
    END LOOP;
END $$;
