SELECT DISTINCT reconciliation_id FROM discrepancy JOIN reconciliation USING (number)
WHERE discrepancy.treatment IN ('approved', 'undoing') ORDER BY reconciliation_id LIMIT :items_max
