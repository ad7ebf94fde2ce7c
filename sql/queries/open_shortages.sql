-- Opens a case where less is on the shelf than is promised, or notes how much is short by now.
INSERT INTO shortage (shard, sku, warehouse, units, opened_at)
SELECT $1, given.sku, given.warehouse, -given.available, $5
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS given (sku, warehouse, available)
WHERE given.available < 0
ON CONFLICT (sku, warehouse) WHERE closed_at IS NULL DO UPDATE SET units = excluded.units
