INSERT INTO quarantined_event (shard, epoch, n, body)
SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) ON CONFLICT DO NOTHING
