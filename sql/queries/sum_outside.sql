-- The running sums of those of these SKUs whose sums were left behind: from the last balance, and the moves since.
WITH behind AS (
    SELECT stock.sku, (SELECT coalesce(max(version), 0) FROM balance WHERE balance.sku = stock.sku) AS version
    FROM stock WHERE stock.sku = ANY ($1::text[])
    GROUP BY stock.sku HAVING bool_or(stock.summed IS DISTINCT FROM stock.version)
),
moved AS (
    SELECT
        behind.sku, change.warehouse, max(move.recorded_at) AS recorded_at,
        min(move.occurred_at) AS occurred_from, max(move.occurred_at) AS occurred_to,
        sum(change.quantity) FILTER (WHERE change.place = 'supplier') AS supplier,
        sum(change.quantity) FILTER (WHERE change.place = 'customer') AS customer,
        sum(change.quantity) FILTER (WHERE change.place = 'adjustment') AS adjustment
    FROM behind
    JOIN move ON move.sku = behind.sku AND move.version > behind.version
    CROSS JOIN LATERAL (VALUES
        (move.warehouse, move.source, -move.quantity),
        (coalesce(move.to_warehouse, move.warehouse), move.target, move.quantity)
    ) AS change (warehouse, place, quantity)
    GROUP BY behind.sku, change.warehouse
)
UPDATE stock SET
    supplier = coalesce(before.supplier, 0) + coalesce(moved.supplier, 0),
    customer = coalesce(before.customer, 0) + coalesce(moved.customer, 0),
    adjustment = coalesce(before.adjustment, 0) + coalesce(moved.adjustment, 0),
    recorded_at = moved.recorded_at, occurred_from = moved.occurred_from, occurred_to = moved.occurred_to,
    summed = stock.version
FROM behind
JOIN stock AS place ON place.sku = behind.sku
LEFT JOIN moved ON moved.sku = place.sku AND moved.warehouse = place.warehouse
LEFT JOIN balance AS before
    ON before.sku = place.sku AND before.version = behind.version AND before.warehouse = place.warehouse
WHERE stock.sku = place.sku AND stock.warehouse = place.warehouse
