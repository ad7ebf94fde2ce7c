-- The warehouse side: plans that are Postgres' own, and what the writer folds from events about them.

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

-- Counting asks what happened to a SKU since a time.
CREATE INDEX move_sku_occurred_at ON move (sku, occurred_at);

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
INSERT INTO shortage (shard, sku, warehouse, units, opened_at)
SELECT shard, sku, warehouse, -available, now() FROM stock WHERE available < 0;
