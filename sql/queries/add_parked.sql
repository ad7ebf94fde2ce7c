INSERT INTO quarantine (shard, epoch, n, part, line, subject, version, sqlstate, error)
SELECT $1, * FROM unnest(
    $2::bigint[], $3::bigint[], $4::text[], $5::integer[], $6::text[], $7::bigint[], $8::text[], $9::text[]
)
