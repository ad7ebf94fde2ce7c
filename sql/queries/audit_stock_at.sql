-- The counts that a SKU's moves up to a version left, at both ends of those that lead to another warehouse.
SELECT DISTINCT ON (warehouse)
    warehouse, available_after, locked_after, damaged_after, in_transit_after, buffer_after
FROM (
    SELECT version, warehouse, available_after, locked_after, damaged_after, in_transit_after, buffer_after
    FROM move WHERE sku = :sku AND version <= :version
    UNION ALL
    SELECT
        version, to_warehouse, to_available_after, to_locked_after, to_damaged_after, to_in_transit_after,
        to_buffer_after
    FROM move WHERE sku = :sku AND version <= :version AND to_warehouse IS NOT NULL
) AS made
ORDER BY warehouse, version DESC
