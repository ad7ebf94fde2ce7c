SELECT sku, state, kind, cause, evidence, expected, counted, difference, treatment
FROM discrepancy
WHERE number = (SELECT number FROM reconciliation WHERE reconciliation_id = :reconciliation_id)
    AND (sku, state) > (CAST(:after_sku AS text), CAST(:after_state AS text))
    AND (CAST(:cause AS text) IS NULL OR cause = :cause)
ORDER BY sku, state LIMIT :items_max
