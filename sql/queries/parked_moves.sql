-- The events of which moves wait in quarantine, in order, with the lines that wait.
SELECT epoch, n, array_agg(line ORDER BY line) AS lines, event.body
FROM quarantine JOIN quarantined_event AS event USING (shard, epoch, n)
WHERE shard = $1 AND part = 'move' AND ended_at IS NULL
GROUP BY epoch, n, event.body ORDER BY epoch, n
