-- The shard's position, and the lease on it until the transaction ends; no row while another worker has it.
SELECT
    epoch, n, tip, recorded_at,
    (SELECT coalesce(max(epoch.epoch), 0) FROM epoch WHERE epoch.shard = $1) AS newest_noted_epoch,
    EXISTS (SELECT FROM quarantine WHERE quarantine.shard = $1 AND ended_at IS NULL) AS has_parked
FROM position WHERE shard = $1 FOR UPDATE OF position SKIP LOCKED
