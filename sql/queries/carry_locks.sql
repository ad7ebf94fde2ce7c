-- A record that is carried over may be there already.
INSERT INTO lock (shard, lock_id, opened_epoch, opened_n, changed_epoch, changed_n, changed_at, record)
SELECT $1, * FROM unnest(
    $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::jsonb[]
)
ON CONFLICT (lock_id, opened_epoch, opened_n) DO UPDATE SET
    changed_epoch = excluded.changed_epoch, changed_n = excluded.changed_n, changed_at = excluded.changed_at,
    record = excluded.record
