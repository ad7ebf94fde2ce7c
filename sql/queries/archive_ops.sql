-- Ids that must count once for ever, wherever their events are.
INSERT INTO archived_op (op, fingerprint, epoch, n)
SELECT op, fingerprint, epoch, n FROM event
WHERE shard = $1 AND recorded_at < $2 AND op IS NOT NULL AND fingerprint IS NOT NULL
ON CONFLICT DO NOTHING
