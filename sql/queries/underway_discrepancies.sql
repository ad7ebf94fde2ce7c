-- What was approved or is to be undone, and is not booked yet.
SELECT sku, state, kind, cause, evidence, expected, counted, difference, treatment
FROM discrepancy
WHERE number = (SELECT number FROM reconciliation WHERE reconciliation_id = :reconciliation_id)
    AND treatment IN ('approved', 'undoing')
ORDER BY sku, state LIMIT :items_max
