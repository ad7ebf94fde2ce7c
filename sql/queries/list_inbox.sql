-- Events that wait for their turn, their document or a person.
SELECT source, event_id, status, why, event::text AS event, fingerprint, warehouse, sequence, who, received_at, until
FROM inbox WHERE status IN ('parked', 'quarantined') AND (source, event_id) > ($1, $2)
ORDER BY source, event_id LIMIT $3
