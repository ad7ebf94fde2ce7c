-- The newest epoch that was noted, and whose parts are parked; a row at least. After the lease and not with it: the
-- statement that takes the lease sees the rest as it was when it began, and whoever had it then may have changed it.
SELECT newest.epoch AS newest_noted_epoch, parked.part, parked.subject
FROM (SELECT coalesce(max(epoch), 0) AS epoch FROM epoch WHERE shard = $1) AS newest
LEFT JOIN (SELECT DISTINCT part, subject FROM quarantine WHERE shard = $1 AND ended_at IS NULL) AS parked ON true
