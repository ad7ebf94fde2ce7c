SELECT
    op, fingerprint, epoch, n, CASE WHEN op NOT LIKE 'event:%' THEN lock END AS lock,
    CASE WHEN op NOT LIKE 'event:%' THEN document END AS document
FROM event
WHERE shard = $1 AND op = ANY ($2::text[])
UNION ALL
SELECT
    event_id.op, event_id.fingerprint, event_id.epoch, event_id.n, NULL,
    jsonb_build_object('op', concat_ws(' ', event_id.fingerprint, event_id.epoch || '-' || event_id.n, event_id.units)) AS document
FROM event_id
WHERE event_id.shard = $1 AND event_id.op = ANY ($2::text[])
ORDER BY epoch, n
