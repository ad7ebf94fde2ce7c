SELECT source, event_id, status, why, event::text AS event, fingerprint, warehouse, sequence, who, received_at, until
FROM inbox WHERE source = $1 AND event_id = ANY ($2::text[])
