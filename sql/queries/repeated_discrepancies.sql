-- SKUs that differ again: in how many of the last reconciliations of this warehouse, this one included, and since when.
WITH this AS (
    SELECT number, warehouse, as_of FROM reconciliation WHERE reconciliation_id = :reconciliation_id
), last AS (
    SELECT reconciliation.number, reconciliation.as_of
    FROM reconciliation JOIN this USING (warehouse)
    WHERE reconciliation.status = 'done' AND reconciliation.as_of <= this.as_of
    ORDER BY reconciliation.as_of DESC, reconciliation.number DESC LIMIT :days_max
)
SELECT
    discrepancy.sku, discrepancy.state, discrepancy.difference, earlier.times,
    (extract(epoch FROM earlier.first_as_of) * 1000)::bigint AS first_as_of
FROM discrepancy JOIN this USING (number)
CROSS JOIN LATERAL (
    SELECT count(*) AS times, min(last.as_of) AS first_as_of
    FROM discrepancy AS other JOIN last USING (number)
    WHERE other.sku = discrepancy.sku AND other.state = discrepancy.state
) AS earlier
WHERE earlier.times > 1
ORDER BY earlier.times DESC, abs(discrepancy.difference) DESC, discrepancy.sku, discrepancy.state LIMIT :items_max
