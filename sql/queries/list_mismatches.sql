-- What reporters disagree on, with what each said and what is booked.
SELECT
    mismatch.mismatch_id, mismatch.family, mismatch.sku, mismatch.differs, document_sum.sums, document_sum.lock_id,
    (extract(epoch FROM mismatch.opened_at) * 1000)::bigint AS opened_at
FROM mismatch JOIN document_sum USING (family, sku)
WHERE mismatch.closed_at IS NULL AND mismatch.mismatch_id > :after
ORDER BY mismatch.mismatch_id LIMIT :items_max
