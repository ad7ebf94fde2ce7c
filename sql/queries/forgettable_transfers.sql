-- Of these transfers, those that the hot store does not remember with this cursor, with every id used on them.
SELECT transfer.transfer_id, array(
    SELECT event.op FROM event
    WHERE event.document_id = transfer.transfer_id AND event.document_kind = 'transfer' AND event.op IS NOT NULL
    UNION ALL
    SELECT event_id.op FROM event JOIN event_id USING (shard, epoch, n)
    WHERE event.document_id = transfer.transfer_id AND event.document_kind = 'transfer'
) AS ops
FROM (
    SELECT DISTINCT ON (transfer_id) * FROM transfer WHERE transfer_id = ANY (:transfer_ids)
    ORDER BY transfer_id, opened_epoch DESC, opened_n DESC
) AS transfer
WHERE NOT remembers(transfer.status, transfer.changed_epoch, transfer.changed_n, :epoch, :n)
