-- Where the chain of events that are here begins: behind what was archived last.
SELECT epoch, n, tip FROM archived_month WHERE shard = $1 ORDER BY until DESC LIMIT 1
