-- Of each SKU in a warehouse: whether nothing has changed what is on hand there since an opening set it last, or ever, and
-- nobody has counted it since, as far as the ledger reaches; and up to which of the SKU's versions it knows.
SELECT
    given.sku, given.warehouse,
    coalesce(last.kind = 'opening' AND NOT EXISTS (
        SELECT FROM counted
        WHERE counted.sku = given.sku AND counted.warehouse = given.warehouse AND counted.counted_at > last.recorded_at
    ), NOT EXISTS (
        SELECT FROM balance_base AS base WHERE base.sku = given.sku AND base.warehouse = given.warehouse
    )) AS is_as_opened,
    coalesce((SELECT max(stock.version) FROM stock WHERE stock.sku = given.sku), 0) AS version
FROM unnest($1::text[], $2::text[]) AS given (sku, warehouse)
LEFT JOIN LATERAL (
    SELECT event.kind, event.recorded_at
    FROM move JOIN event USING (shard, epoch, n, recorded_at)
    CROSS JOIN LATERAL (
        SELECT
            move.warehouse = given.warehouse AND move.source IN ('available', 'locked') AS leaves,
            coalesce(move.to_warehouse, move.warehouse) = given.warehouse
                AND move.target IN ('available', 'locked') AS comes
    ) AS side
    WHERE move.sku = given.sku AND side.leaves <> side.comes
    ORDER BY move.version DESC LIMIT 1
) AS last ON true
