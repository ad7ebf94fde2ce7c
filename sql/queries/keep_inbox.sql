INSERT INTO inbox (source, event_id, status, why, event, fingerprint, warehouse, sequence, who, until)
SELECT $1, * FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::timestamptz[]
)
ON CONFLICT (source, event_id) DO NOTHING
