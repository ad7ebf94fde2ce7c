-- The events of which parts wait in quarantine, in order: the lines that wait, whether their document does, and whether
-- they could not be read at all. And those whose columns are in their raw text only, and whose ids the hot store remembers.
SELECT
    quarantine.epoch, quarantine.n,
    array_agg(line ORDER BY line) FILTER (WHERE part = 'move' AND ended_at IS NULL) AS lines,
    bool_or(part = 'document' AND ended_at IS NULL) AS has_document,
    bool_or(part = 'event' AND ended_at IS NULL) AS is_unreadable,
    bool_or(part = 'event' AND ended_at IS NOT NULL) AS is_bare,
    event.body
FROM quarantine JOIN quarantined_event AS event USING (shard, epoch, n) JOIN position USING (shard)
WHERE shard = $1 AND (
    ended_at IS NULL OR (
        part = 'event' AND ended_as = 'kept raw'
        AND (quarantine.epoch, quarantine.n) > (position.forgotten_epoch, position.forgotten_n)
    )
)
GROUP BY quarantine.epoch, quarantine.n, event.body ORDER BY quarantine.epoch, quarantine.n
