-- What reporters said of some families of documents; of a lock or transfer since its newest opening.
SELECT document_sum.family, document_sum.sku, document_sum.sums, document_sum.lock_id
FROM document_sum
WHERE document_sum.shard = $1 AND document_sum.family = ANY ($2::text[])
    AND NOT EXISTS (
        SELECT FROM lock
        WHERE split_part(document_sum.family, ':', 1) = 'deduct' AND lock.lock_id = substr(document_sum.family, 8)
            AND (lock.opened_epoch, lock.opened_n) > (document_sum.epoch, document_sum.n)
        UNION ALL
        SELECT FROM closed_lock
        WHERE split_part(document_sum.family, ':', 1) = 'deduct'
            AND closed_lock.lock_id = substr(document_sum.family, 8)
            AND (closed_lock.opened_epoch, closed_lock.opened_n) > (document_sum.epoch, document_sum.n)
        UNION ALL
        SELECT FROM transfer
        WHERE split_part(document_sum.family, ':', 1) IN ('transfer_ship', 'transfer_receive')
            AND transfer.transfer_id = substr(document_sum.family, strpos(document_sum.family, ':') + 1)
            AND (transfer.opened_epoch, transfer.opened_n) > (document_sum.epoch, document_sum.n)
    )
ORDER BY document_sum.family, document_sum.sku
