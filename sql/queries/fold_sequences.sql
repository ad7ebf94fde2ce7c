INSERT INTO inbox_sequence (shard, source, warehouse, number)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])
ON CONFLICT (source, warehouse) DO UPDATE SET number = excluded.number
