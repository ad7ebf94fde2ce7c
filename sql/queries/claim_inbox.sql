-- Parked events whose time has come, the longest waiting first; each is tried ever less often, at least every two seconds.
UPDATE inbox SET tries = inbox.tries + 1, next_at = now() + least(2, 0.1 * 2 ^ least(inbox.tries, 5)) * interval '1 second'
FROM (
    SELECT source, event_id FROM inbox WHERE status = 'parked' AND next_at <= now()
    ORDER BY next_at, sequence LIMIT $1 FOR UPDATE SKIP LOCKED
) AS due
WHERE inbox.source = due.source AND inbox.event_id = due.event_id
RETURNING inbox.source, inbox.event_id, inbox.status, inbox.why, inbox.event::text AS event, inbox.fingerprint, inbox.warehouse, inbox.sequence, inbox.who, inbox.received_at, inbox.until
