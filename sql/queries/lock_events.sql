-- What a lock's events up to a time set in its record, in order. A lock_id may have been used before.
SELECT kind, lock AS fields FROM event
WHERE event.lock_id = :lock_id AND event.recorded_at <= :at AND event.lock IS NOT NULL
ORDER BY epoch, n
