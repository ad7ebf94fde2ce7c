UPDATE discrepancy SET treatment = given.treatment, treated_at = now()
FROM unnest($2::text[], $3::text[], $4::text[]) AS given (sku, state, treatment)
WHERE discrepancy.number = (SELECT number FROM reconciliation WHERE reconciliation_id = $1)
    AND discrepancy.sku = given.sku AND discrepancy.state = given.state
    AND discrepancy.treatment IN ('approved', 'undoing')
