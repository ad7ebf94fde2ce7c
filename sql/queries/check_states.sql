-- Each SKU's moves by version, and between them its balances: 0 where sums start, 1 moves, 2 balances on the way.
SELECT known.* FROM (
    SELECT
        sku, version, 1 AS kind, warehouse, source::text, target::text, quantity, available_after AS available,
        locked_after AS locked, damaged_after AS damaged, in_transit_after AS in_transit, buffer_after AS buffer,
        to_warehouse, to_available_after AS to_available, to_locked_after AS to_locked,
        to_damaged_after AS to_damaged, to_in_transit_after AS to_in_transit, to_buffer_after AS to_buffer,
        NULL::bigint AS supplier, NULL::bigint AS customer, NULL::bigint AS adjustment
    FROM move WHERE shard = $1
    UNION ALL
    SELECT
        sku, version,
        CASE WHEN recorded_at < (SELECT max(until) FROM archived_month WHERE shard = $1) THEN 0 ELSE 2 END,
        warehouse, NULL, NULL, NULL, available, locked, damaged, in_transit, buffer, NULL, NULL, NULL, NULL, NULL, NULL,
        supplier, customer, adjustment
    FROM balance WHERE shard = $1
) AS known
ORDER BY known.sku, known.version, known.kind
