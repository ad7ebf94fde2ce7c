-- How many locks may still need an entry each for their unlock or deduct, and how much stands still.
SELECT
    (SELECT count(*) FROM lock WHERE status IN ('held', 'confirmed', 'partly_deducted')) AS open_locks,
    (SELECT count(DISTINCT (part, subject)) FROM quarantine WHERE ended_at IS NULL) AS quarantined
