-- Of the documents that are no lock's or transfer's, those last reported up to a place that is behind the cursor by now.
SELECT DISTINCT past.family FROM document_sum AS past
WHERE past.shard = :shard AND (past.epoch, past.n) > (:from_epoch, :from_n) AND (past.epoch, past.n) <= (:epoch, :n)
    AND split_part(past.family, ':', 1) IN ('receipt', 'return', 'adjustment')
    AND NOT EXISTS (
        SELECT FROM document_sum AS later
        WHERE later.family = past.family AND (later.epoch, later.n) > (:epoch, :n)
    )
