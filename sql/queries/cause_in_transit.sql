-- The warehouse counted units that we still have on the way to it: nobody told that they arrived.
SELECT d.sku, d.state, 'in_transit' AS cause, jsonb_build_object('transfers', jsonb_agg(way.transfer_id ORDER BY way.transfer_id)) AS evidence
FROM discrepancy AS d JOIN reconciliation AS r USING (number)
JOIN (
    SELECT transfer_id, destination, sku, shipped - received - damaged - lost AS units
    FROM transfer_line WHERE status IN ('requested', 'partly_shipped', 'shipped')
) AS way ON way.sku = d.sku AND way.destination = r.warehouse AND way.units > 0
WHERE d.number = $1 AND d.cause IS NULL AND d.difference > 0
GROUP BY d.sku, d.state, d.difference
HAVING sum(way.units) >= d.difference
