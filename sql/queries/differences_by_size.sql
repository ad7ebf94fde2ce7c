-- How many differences have 1, 2 to 9, 10 to 99, … units, apart for more and less.
SELECT
    (difference > 0) AS is_more, floor(log(abs(difference)))::int AS digits, (abs(difference) = 1) AS is_one,
    count(*) AS discrepancies
FROM discrepancy
WHERE number = (SELECT number FROM reconciliation WHERE reconciliation_id = :reconciliation_id)
GROUP BY 1, 2, 3
