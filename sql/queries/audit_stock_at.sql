-- The counts that a SKU's moves up to a version left.
SELECT DISTINCT ON (warehouse)
    warehouse, available_after, locked_after, damaged_after, in_transit_after, buffer_after
FROM move WHERE sku = :sku AND version <= :version
ORDER BY warehouse, version DESC
