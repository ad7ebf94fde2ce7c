-- Which of the keys :names have opened at least as many of the open locks as :limits says of each.
SELECT asked.name
FROM unnest(CAST(:names AS text[]), CAST(:limits AS bigint[])) AS asked (name, most)
JOIN (
    SELECT event.who, count(*) AS locks
    FROM lock
    JOIN event ON event.shard = lock.shard AND event.epoch = lock.opened_epoch AND event.n = lock.opened_n
    WHERE lock.status IN ('held', 'confirmed', 'partly_deducted') AND event.who = ANY (CAST(:names AS text[]))
    GROUP BY event.who
) AS held ON held.who = asked.name
WHERE held.locks >= asked.most
