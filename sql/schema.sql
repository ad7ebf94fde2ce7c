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
    PRIMARY KEY (shard, epoch, n, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX event_lock_id ON event (lock_id) WHERE lock_id IS NOT NULL;
CREATE INDEX event_op ON event (op) WHERE op IS NOT NULL;
CREATE INDEX event_document_id ON event (document_id) WHERE document_id IS NOT NULL;
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
    PRIMARY KEY (sku, warehouse)
);

-- The projection of locks: record has the hot store's fields (s status, v version, f fingerprint, x expires_at in ms,
-- n lines, q request, o original lines, y original expiry, e ended by). A lock_id may come again after the horizon.
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
    (line ->> 2)::bigint AS shipped,
    (line ->> 3)::bigint AS received,
    (line ->> 4)::bigint AS damaged,
    (line ->> 5)::bigint AS lost,
    (line ->> 6)::bigint AS cancelled
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
    PRIMARY KEY (shard, epoch, n, tip)
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

-- A fact is never edited; a correction is a new fact. (A superuser can; `sellable verify` finds it.)
REVOKE UPDATE, DELETE, TRUNCATE ON event, move FROM PUBLIC;
DO $$ BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON event, move FROM %I', current_user);
END $$;
