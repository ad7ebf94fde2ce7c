-- Before the moves recorded up to a time leave the ledger: what they come to, by SKU and warehouse, from where sums began
-- so far. The buffer is the one noted last.
INSERT INTO balance (
    shard, sku, version, warehouse, recorded_at, occurred_from, occurred_to, available, locked, damaged, in_transit,
    buffer, supplier, customer, adjustment
)
WITH half AS (
    SELECT
        move.sku, move.version, move.recorded_at, move.occurred_at, change.warehouse, change.place, change.quantity,
        change.buffer
    FROM move
    CROSS JOIN LATERAL (VALUES
        (move.warehouse, move.source, -move.quantity, move.buffer_after),
        (
            coalesce(move.to_warehouse, move.warehouse), move.target, move.quantity,
            coalesce(move.to_buffer_after, move.buffer_after)
        )
    ) AS change (warehouse, place, quantity, buffer)
    WHERE move.shard = $1 AND move.recorded_at < $2
),
reached AS (
    SELECT
        sku, max(version) AS version, max(recorded_at) AS recorded_at, min(occurred_at) AS occurred_from,
        max(occurred_at) AS occurred_to
    FROM half GROUP BY sku
),
moved AS (
    SELECT
        sku, warehouse,
        coalesce(sum(quantity) FILTER (WHERE place = 'available'), 0) AS available,
        coalesce(sum(quantity) FILTER (WHERE place = 'locked'), 0) AS locked,
        coalesce(sum(quantity) FILTER (WHERE place = 'damaged'), 0) AS damaged,
        coalesce(sum(quantity) FILTER (WHERE place = 'in_transit'), 0) AS in_transit,
        coalesce(sum(quantity) FILTER (WHERE place = 'supplier'), 0) AS supplier,
        coalesce(sum(quantity) FILTER (WHERE place = 'customer'), 0) AS customer,
        coalesce(sum(quantity) FILTER (WHERE place = 'adjustment'), 0) AS adjustment,
        (array_agg(buffer ORDER BY version DESC))[1] AS buffer
    FROM half GROUP BY sku, warehouse
),
base AS (SELECT balance_base.* FROM balance_base JOIN reached USING (sku) WHERE balance_base.shard = $1)
SELECT
    $1, sku, reached.version, warehouse, reached.recorded_at, reached.occurred_from, reached.occurred_to,
    coalesce(base.available, 0) + coalesce(moved.available, 0), coalesce(base.locked, 0) + coalesce(moved.locked, 0),
    coalesce(base.damaged, 0) + coalesce(moved.damaged, 0),
    coalesce(base.in_transit, 0) + coalesce(moved.in_transit, 0), coalesce(moved.buffer, base.buffer, 0),
    coalesce(base.supplier, 0) + coalesce(moved.supplier, 0), coalesce(base.customer, 0) + coalesce(moved.customer, 0),
    coalesce(base.adjustment, 0) + coalesce(moved.adjustment, 0)
FROM moved FULL JOIN base USING (sku, warehouse) JOIN reached USING (sku)
ON CONFLICT (sku, version, warehouse) DO NOTHING
