-- A balance for each of these SKUs as it is now: what is in the warehouses, and the running sums of what is outside.
WITH due AS (
    SELECT
        sku, max(version) AS version, max(recorded_at) AS recorded_at, min(occurred_from) AS occurred_from,
        max(occurred_to) AS occurred_to
    FROM stock WHERE sku = ANY ($1::text[]) GROUP BY sku
),
begun AS (
    UPDATE stock SET recorded_at = NULL, occurred_from = NULL, occurred_to = NULL
    FROM due WHERE stock.sku = due.sku
)
INSERT INTO balance (
    shard, sku, version, warehouse, recorded_at, occurred_from, occurred_to, available, locked, damaged, in_transit,
    buffer, supplier, customer, adjustment
)
SELECT
    stock.shard, stock.sku, due.version, stock.warehouse, due.recorded_at, due.occurred_from, due.occurred_to,
    stock.available, stock.locked, stock.damaged, stock.in_transit, stock.buffer, stock.supplier, stock.customer,
    stock.adjustment
FROM due JOIN stock USING (sku)
WHERE due.recorded_at IS NOT NULL
ON CONFLICT DO NOTHING
