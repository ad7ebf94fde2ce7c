-- Lists of open locks, and transfers whose units came back to their source.

-- Open locks in the order of their ids, for lists and for the running check.
CREATE INDEX lock_open_id ON lock (lock_id) WHERE status IN ('held', 'confirmed', 'partly_deducted');

-- An eighth item of a transfer's line has the units that came back to the source. Here they count as cancelled, not as
-- shipped: so sums of what is on the way, or still to ship, are right as they are, also those of the version before.
CREATE OR REPLACE VIEW transfer_line AS
SELECT
    transfer.shard,
    transfer.transfer_id,
    transfer.opened_epoch,
    transfer.opened_n,
    transfer.status,
    transfer.record ->> 'a' AS source,
    transfer.record ->> 'b' AS destination,
    line ->> 0 AS sku,
    (line ->> 1)::bigint AS quantity,
    (line ->> 2)::bigint - coalesce((line ->> 7)::bigint, 0) AS shipped,
    (line ->> 3)::bigint AS received,
    (line ->> 4)::bigint AS damaged,
    (line ->> 5)::bigint AS lost,
    (line ->> 6)::bigint + coalesce((line ->> 7)::bigint, 0) AS cancelled
FROM transfer
CROSS JOIN LATERAL jsonb_array_elements(transfer.record -> 'n') AS line;
