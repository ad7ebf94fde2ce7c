-- The counts that a SKU's moves up to a version left, at both ends of those that lead to another warehouse; from the last
-- balance on.
SELECT DISTINCT ON (made.warehouse)
    made.warehouse, made.available_after, made.locked_after, made.damaged_after, made.in_transit_after, made.buffer_after
FROM (
    SELECT coalesce(max(balance.version), 0) AS version FROM balance
    WHERE balance.sku = :sku AND balance.version <= :version
) AS base
CROSS JOIN LATERAL (
    SELECT
        version, warehouse, available AS available_after, locked AS locked_after, damaged AS damaged_after,
        in_transit AS in_transit_after, buffer AS buffer_after
    FROM balance WHERE balance.sku = :sku AND balance.version = base.version
    UNION ALL
    SELECT version, warehouse, available_after, locked_after, damaged_after, in_transit_after, buffer_after
    FROM move WHERE move.sku = :sku AND move.version > base.version AND move.version <= :version
    UNION ALL
    SELECT
        version, to_warehouse, to_available_after, to_locked_after, to_damaged_after, to_in_transit_after,
        to_buffer_after
    FROM move
    WHERE move.sku = :sku AND move.version > base.version AND move.version <= :version
        AND move.to_warehouse IS NOT NULL
) AS made
ORDER BY made.warehouse, made.version DESC
