UPDATE inbox SET
    status = given.status, why = given.why,
    closed_at = CASE WHEN given.status IN ('applied', 'duplicate', 'dropped') THEN now() END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS given (source, event_id, status, why)
WHERE inbox.source = given.source AND inbox.event_id = given.event_id AND inbox.status IN ('parked', 'quarantined')
