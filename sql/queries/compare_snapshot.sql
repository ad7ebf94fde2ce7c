-- Files every difference between a snapshot and what was there at its time: what is there now, without what happened
-- since. What the snapshot does not name it has none of, unless it is of some SKUs only ($5); damaged units count only
-- where somebody counted them. A line with fewer than 0 units could not be read: its SKU is not compared.
WITH since AS (
    SELECT
        sku,
        sum(units) FILTER (WHERE state = 'on_hand') AS on_hand,
        sum(units) FILTER (WHERE state = 'damaged') AS damaged
    FROM shelf_change WHERE warehouse = $2 AND occurred_at > $3
    GROUP BY sku
), expected AS (
    SELECT
        sku,
        stock.available + stock.locked - coalesce(since.on_hand, 0) AS on_hand,
        stock.damaged - coalesce(since.damaged, 0) AS damaged
    FROM stock LEFT JOIN since USING (sku)
    WHERE stock.warehouse = $2
)
INSERT INTO discrepancy (number, sku, state, kind, expected, counted, difference)
SELECT
    $1, sku, pair.state,
    CASE
        WHEN expected.sku IS NULL THEN 'unknown_to_us'
        WHEN counted.sku IS NULL THEN 'unknown_to_warehouse'
        WHEN pair.counted > pair.expected THEN 'more'
        ELSE 'less'
    END,
    pair.expected, pair.counted, pair.counted - pair.expected
FROM expected FULL JOIN snapshot_line AS counted USING (sku)
CROSS JOIN LATERAL (VALUES
    ('on_hand', coalesce(expected.on_hand, 0), coalesce(counted.on_hand, 0)),
    (
        'damaged', coalesce(expected.damaged, 0),
        CASE
            WHEN counted.sku IS NOT NULL THEN coalesce(counted.damaged, expected.damaged, 0)
            WHEN $4::boolean THEN 0
            ELSE coalesce(expected.damaged, 0)
        END
    )
) AS pair (state, expected, counted)
WHERE pair.expected <> pair.counted
    AND coalesce(counted.on_hand, 0) >= 0
    AND (counted.sku IS NOT NULL OR NOT $5::boolean)
