INSERT INTO stock (shard, sku, warehouse, version, available, locked, damaged, in_transit, buffer)
SELECT $1, * FROM unnest(
    $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]
)
ON CONFLICT (sku, warehouse) DO UPDATE SET
    version = excluded.version, available = excluded.available, locked = excluded.locked,
    damaged = excluded.damaged, in_transit = excluded.in_transit, buffer = excluded.buffer
