UPDATE reconciliation SET status = 'done', totals = $2, finished_at = clock_timestamp() WHERE number = $1
