UPDATE reconciliation SET status = 'failed', failure = $2, finished_at = clock_timestamp()
WHERE number = $1 AND status = 'running'
