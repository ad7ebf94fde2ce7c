-- A balance for each of these SKUs as it is now: what is in the warehouses from the projection, what is outside by sums.
INSERT INTO balance (
    shard, sku, version, warehouse, recorded_at, occurred_from, occurred_to, available, locked, damaged, in_transit,
    buffer, supplier, customer, adjustment
)
SELECT
    stock.shard, stock.sku, piece.version, stock.warehouse, piece.recorded_at, piece.occurred_from, piece.occurred_to,
    stock.available, stock.locked, stock.damaged, stock.in_transit, stock.buffer,
    coalesce(before.supplier, 0) + coalesce(moved.supplier, 0),
    coalesce(before.customer, 0) + coalesce(moved.customer, 0),
    coalesce(before.adjustment, 0) + coalesce(moved.adjustment, 0)
FROM unnest($1::text[]) AS given (sku)
JOIN stock ON stock.sku = given.sku
CROSS JOIN LATERAL (SELECT coalesce(max(version), 0) AS version FROM balance WHERE balance.sku = given.sku) AS last
CROSS JOIN LATERAL (
    SELECT
        max(version) AS version, max(recorded_at) AS recorded_at, min(occurred_at) AS occurred_from,
        max(occurred_at) AS occurred_to
    FROM move WHERE move.sku = given.sku AND move.version > last.version
) AS piece
LEFT JOIN balance AS before
    ON before.sku = given.sku AND before.version = last.version AND before.warehouse = stock.warehouse
LEFT JOIN LATERAL (
    SELECT
        sum(change.quantity) FILTER (WHERE change.place = 'supplier') AS supplier,
        sum(change.quantity) FILTER (WHERE change.place = 'customer') AS customer,
        sum(change.quantity) FILTER (WHERE change.place = 'adjustment') AS adjustment
    FROM move
    CROSS JOIN LATERAL (VALUES
        (move.warehouse, move.source, -move.quantity),
        (coalesce(move.to_warehouse, move.warehouse), move.target, move.quantity)
    ) AS change (warehouse, place, quantity)
    WHERE move.sku = given.sku AND move.version > last.version AND change.warehouse = stock.warehouse
) AS moved ON TRUE
WHERE piece.version IS NOT NULL
ON CONFLICT DO NOTHING
