-- What of each SKU and document waits in quarantine.
SELECT part, subject, count(*) AS parts, min(version) AS version
FROM quarantine WHERE ended_at IS NULL GROUP BY part, subject ORDER BY part, subject
