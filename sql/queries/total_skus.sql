-- How many SKUs were compared, and how many of them differ. Of some SKUs only ($3): those that the snapshot names.
SELECT
    (SELECT count(DISTINCT sku) FROM discrepancy WHERE number = $1) AS differing,
    (
        SELECT count(*) FROM stock LEFT JOIN snapshot_line AS counted USING (sku)
        WHERE stock.warehouse = $2 AND coalesce(counted.on_hand, 0) >= 0
            AND (counted.sku IS NOT NULL OR NOT $3::boolean)
    ) AS known,
    (SELECT count(*) FROM discrepancy WHERE number = $1 AND kind = 'unknown_to_us' AND state = 'on_hand') AS unknown
