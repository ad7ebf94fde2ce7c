-- The shard's position, and the lease on it until the transaction ends; no row while another worker has it.
SELECT epoch, n, tip, recorded_at FROM position WHERE shard = $1 FOR UPDATE SKIP LOCKED
