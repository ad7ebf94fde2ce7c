-- The next differences that are to be treated, for an approval or an undo: those with these treatments, by SKU.
UPDATE discrepancy SET treatment = $4, treated_by = $5, treated_at = now()
FROM (
    SELECT discrepancy.number, discrepancy.sku, discrepancy.state
    FROM discrepancy JOIN reconciliation USING (number)
    WHERE reconciliation.reconciliation_id = $1 AND reconciliation.status = 'done' AND discrepancy.treatment = ANY($2)
        AND ($3::text[] IS NULL OR discrepancy.sku = ANY($3)) AND ($6::text IS NULL OR discrepancy.cause = $6)
    ORDER BY discrepancy.sku, discrepancy.state LIMIT $7 FOR UPDATE OF discrepancy
) AS chosen
WHERE (discrepancy.number, discrepancy.sku, discrepancy.state) = (chosen.number, chosen.sku, chosen.state)
