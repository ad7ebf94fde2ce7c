-- How many locks are open, in all.
SELECT count(*) FROM lock WHERE status IN ('held', 'confirmed', 'partly_deducted')
