SELECT treatment, count(*) AS discrepancies
FROM discrepancy
WHERE number = (SELECT number FROM reconciliation WHERE reconciliation_id = :reconciliation_id)
GROUP BY treatment ORDER BY treatment
