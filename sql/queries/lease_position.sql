-- The shard's position, and the lease on it until the transaction ends; no row while another worker has it.
SELECT epoch, n, tip, (SELECT coalesce(max(epoch.epoch), 0) FROM epoch WHERE epoch.shard = $1) AS newest_epoch
FROM position WHERE shard = $1 FOR UPDATE SKIP LOCKED
