UPDATE discrepancy SET cause = 'unexplained' WHERE number = $1 AND cause IS NULL
