INSERT INTO stock_correction (shard, epoch, sku, warehouse, before, after)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::jsonb[], $6::jsonb[])
