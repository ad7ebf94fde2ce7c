-- What is known of a snapshot before it is compared.
UPDATE reconciliation SET lines = $2, totals = $3 WHERE number = $1
