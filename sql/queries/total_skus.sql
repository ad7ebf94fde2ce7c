-- How many SKUs were compared, and how many of them differ.
SELECT
    (SELECT count(DISTINCT sku) FROM discrepancy WHERE number = $1) AS differing,
    (SELECT count(*) FROM stock WHERE warehouse = $2) AS known,
    (SELECT count(*) FROM discrepancy WHERE number = $1 AND kind = 'unknown_to_us' AND state = 'on_hand') AS unknown
