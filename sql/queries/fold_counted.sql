INSERT INTO counted (shard, sku, warehouse, counted_at, damaged)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::boolean[])
ON CONFLICT (sku, warehouse, counted_at) DO UPDATE SET damaged = counted.damaged OR excluded.damaged
