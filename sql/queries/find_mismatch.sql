SELECT
    mismatch.mismatch_id, mismatch.family, mismatch.sku, mismatch.differs, document_sum.sums, document_sum.lock_id,
    (extract(epoch FROM mismatch.opened_at) * 1000)::bigint AS opened_at, mismatch.closed_at IS NOT NULL AS is_closed,
    mismatch.decision
FROM mismatch JOIN document_sum USING (family, sku)
WHERE mismatch.mismatch_id = :mismatch_id
