-- The transfers that the hot store remembers.
SELECT DISTINCT ON (transfer.transfer_id)
    transfer.transfer_id AS id, transfer.opened_epoch, transfer.opened_n, transfer.record
FROM transfer JOIN position USING (shard)
WHERE transfer.shard = $1 AND remembers(
    transfer.status, transfer.changed_epoch, transfer.changed_n, position.forgotten_epoch, position.forgotten_n
)
ORDER BY transfer.transfer_id, transfer.opened_epoch DESC, transfer.opened_n DESC
