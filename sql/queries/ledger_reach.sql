-- How far back the ledger goes: to the end of what was archived, else to its first event; null while it is empty.
SELECT coalesce(
    (SELECT max(until) FROM archived_month),
    (SELECT recorded_at FROM event ORDER BY shard, epoch, n LIMIT 1)
) AS since, EXISTS (SELECT FROM archived_month) AS archived
