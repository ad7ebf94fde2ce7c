-- The shard's position, and the lease on it until the transaction ends; waits for a worker that has it.
SELECT epoch, n, tip, recorded_at FROM position WHERE shard = $1 FOR UPDATE
