-- The open locks that hold units of some SKUs in some warehouses, latest first.
SELECT lock_line.sku, lock_line.warehouse, lock_line.lock_id, lock_line.status, lock_line.quantity - lock_line.deducted AS units
FROM lock_line
JOIN unnest(CAST(:skus AS text[]), CAST(:warehouses AS text[])) AS given (sku, warehouse)
    ON given.sku = lock_line.sku AND given.warehouse = lock_line.warehouse
WHERE lock_line.status IN ('held', 'confirmed', 'partly_deducted') AND lock_line.quantity > lock_line.deducted
ORDER BY lock_line.opened_epoch DESC, lock_line.opened_n DESC
