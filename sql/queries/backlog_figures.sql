-- How many locks may still need an entry each for their unlock or deduct, how much stands still, and on how much reporters
-- disagree.
SELECT
    (SELECT count(*) FROM lock WHERE status IN ('held', 'confirmed', 'partly_deducted')) AS open_locks,
    (SELECT count(DISTINCT (part, subject)) FROM quarantine WHERE ended_at IS NULL) AS quarantined,
    (SELECT count(*) FROM mismatch WHERE closed_at IS NULL) AS mismatches
