INSERT INTO document_sum (shard, family, sku, sums, reporters, lock_id, epoch, n, changed_at)
SELECT $1, family, sku, sums, string_to_array(reporters, E'\t'), lock_id, epoch, n, changed_at
FROM unnest(
    $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::timestamptz[]
) AS given (family, sku, sums, reporters, lock_id, epoch, n, changed_at)
ON CONFLICT (family, sku) DO UPDATE SET
    sums = excluded.sums, reporters = excluded.reporters, lock_id = coalesce(excluded.lock_id, document_sum.lock_id),
    epoch = excluded.epoch, n = excluded.n, changed_at = excluded.changed_at
