-- What is left.
SELECT sku, state, 'unexplained' AS cause, evidence FROM discrepancy WHERE number = $1 AND cause IS NULL
