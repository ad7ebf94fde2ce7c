-- Of these families of documents, those that more than one reports: each SKU with its sums, whether a case of it is open,
-- and what reporters had said when a person decided last.
SELECT
    document_sum.family, document_sum.sku, document_sum.sums,
    EXISTS (
        SELECT FROM mismatch
        WHERE mismatch.family = document_sum.family AND mismatch.sku = document_sum.sku AND mismatch.closed_at IS NULL
    ) AS is_open,
    (
        SELECT mismatch.said FROM mismatch
        WHERE mismatch.family = document_sum.family AND mismatch.sku = document_sum.sku AND mismatch.decision IS NOT NULL
        ORDER BY mismatch.mismatch_id DESC LIMIT 1
    ) AS decided
FROM document_sum JOIN (
    SELECT family FROM document_sum WHERE family = ANY ($1::text[])
    GROUP BY family HAVING count(DISTINCT reporters) > 1 OR max(cardinality(reporters)) > 1
) AS contested USING (family)
