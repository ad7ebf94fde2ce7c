-- What is parked, by what it is about, the oldest first; the error is that of the first part.
SELECT
    part, subject, count(*) AS parts, min(parked_at) AS since,
    (array_agg(format('%s-%s', epoch, n) ORDER BY epoch, n, line))[1] AS first_position,
    (array_agg(sqlstate ORDER BY epoch, n, line))[1] AS sqlstate,
    (array_agg(error ORDER BY epoch, n, line))[1] AS error
FROM quarantine WHERE shard = :shard AND ended_at IS NULL AND (CAST(:subject AS text) IS NULL OR subject = :subject)
GROUP BY part, subject ORDER BY since, part, subject
