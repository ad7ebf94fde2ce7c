-- Those of a sequence that wait for their turn are tried at once; returns how many.
WITH woken AS (
    UPDATE inbox SET next_at = now()
    FROM unnest($1::text[], $2::text[]) AS given (source, warehouse)
    WHERE inbox.source = given.source AND inbox.warehouse = given.warehouse
        AND inbox.status = 'parked' AND inbox.sequence IS NOT NULL AND inbox.next_at > now()
    RETURNING 1
)
SELECT count(*) FROM woken
