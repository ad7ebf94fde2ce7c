-- Makes one line of the several that a snapshot has of a SKU: their sum, or one that says that it is not compared. So it is
-- also if one of them could not be read (below zero), or they have more units than there can be.
WITH several AS (
    SELECT
        sku, min(line) AS line,
        $1::boolean AND min(on_hand) >= 0 AND sum(on_hand) <= 1000000000 AND coalesce(sum(damaged), 0) <= 1000000000
            AS is_sum,
        sum(on_hand) AS on_hand, sum(damaged) AS damaged
    FROM snapshot_line GROUP BY sku HAVING count(*) > 1
), gone AS (
    DELETE FROM snapshot_line USING several WHERE snapshot_line.sku = several.sku
)
INSERT INTO snapshot_line (line, sku, on_hand, damaged)
SELECT line, sku, CASE WHEN is_sum THEN on_hand ELSE -1 END, CASE WHEN is_sum THEN damaged END FROM several
