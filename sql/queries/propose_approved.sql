-- More than a policy may apply without a person.
UPDATE discrepancy SET treatment = 'proposed' WHERE number = $1 AND treatment = 'approved'
