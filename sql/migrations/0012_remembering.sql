-- One rule of remembering, and one source of what ids were used for.

-- Whether the hot store remembers a lock or transfer: while it is open, and until the event that changed it last is behind
-- the cursor up to which ids are forgotten. What is forgotten and what a repair restores go by this alone.
CREATE FUNCTION remembers(status text, changed_epoch bigint, changed_n bigint, cursor_epoch bigint, cursor_n bigint)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT status NOT IN ('released', 'deducted', 'expired', 'received', 'cancelled')
        OR (changed_epoch, changed_n) > (cursor_epoch, cursor_n)
$$;

-- What every id was used for, wherever its event is by now: those of events, those that events of the inbox are known by
-- besides, and those of archived months.
CREATE VIEW known_id AS
SELECT
    shard, op, fingerprint, epoch, n,
    CASE WHEN op NOT LIKE 'event:%' THEN lock END AS lock,
    CASE WHEN op NOT LIKE 'event:%' THEN document END AS document
FROM event WHERE op IS NOT NULL
UNION ALL
SELECT
    shard, op, fingerprint, epoch, n, NULL,
    jsonb_build_object('op', concat_ws(' ', fingerprint, epoch || '-' || n, units))
FROM event_id
UNION ALL
SELECT 0::smallint, op, fingerprint, epoch, n, NULL, NULL FROM archived_op;
