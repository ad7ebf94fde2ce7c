-- Closed locks go back among the others: more is told of them.
WITH back AS (
    DELETE FROM closed_lock WHERE lock_id = ANY ($1::text[])
        AND NOT EXISTS (SELECT FROM lock WHERE lock.lock_id = closed_lock.lock_id)
    RETURNING shard, lock_id, opened_epoch, opened_n, changed_epoch, changed_n, changed_at, record
)
INSERT INTO lock (shard, lock_id, opened_epoch, opened_n, changed_epoch, changed_n, changed_at, record)
SELECT * FROM back
