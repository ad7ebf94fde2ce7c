-- The parts of one subject that are parked, in order, with their events as they came.
SELECT quarantine.epoch, quarantine.n, quarantine.part, quarantine.line, quarantine.version, event.body
FROM quarantine JOIN quarantined_event AS event USING (shard, epoch, n)
WHERE shard = $1 AND part = $2 AND subject = $3 AND ended_at IS NULL
ORDER BY epoch, n, line LIMIT $4
