SELECT sku, state, kind, cause, evidence, expected, counted, difference, treatment
FROM discrepancy
WHERE number = (SELECT number FROM reconciliation WHERE reconciliation_id = :reconciliation_id)
ORDER BY abs(difference) DESC, sku, state LIMIT :items_max
