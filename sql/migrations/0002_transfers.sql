-- Transfers: moves over two warehouses, events about other documents than locks, and the projection of transfers.

ALTER TABLE event
    ADD COLUMN document_kind text,
    ADD COLUMN document_id   text,
    ADD COLUMN document      jsonb;
CREATE INDEX event_document_id ON event (document_id) WHERE document_id IS NOT NULL;
COMMENT ON COLUMN event.document IS 'the fields of the document''s record that this event set';

ALTER TABLE move
    ADD COLUMN to_warehouse        text,
    ADD COLUMN to_available_after  bigint,
    ADD COLUMN to_locked_after     bigint,
    ADD COLUMN to_damaged_after    bigint,
    ADD COLUMN to_in_transit_after bigint,
    ADD COLUMN to_buffer_after     bigint;
COMMENT ON COLUMN move.to_warehouse IS 'where target is, if that is another warehouse; to_… are the counts left there';

-- The projection of transfers: record has the hot store's fields (s status, v version, f fingerprint, a from, b to,
-- n lines). A transfer_id may come again after the horizon.
CREATE TABLE transfer (
    shard         smallint    NOT NULL,
    transfer_id   text        NOT NULL,
    opened_epoch  bigint      NOT NULL,
    opened_n      bigint      NOT NULL,
    changed_epoch bigint      NOT NULL,
    changed_n     bigint      NOT NULL,
    changed_at    timestamptz NOT NULL,
    record        jsonb       NOT NULL,
    status        text        NOT NULL GENERATED ALWAYS AS (record ->> 's') STORED,
    PRIMARY KEY (transfer_id, opened_epoch, opened_n)
);
CREATE INDEX transfer_open ON transfer (status) WHERE status IN ('requested', 'partly_shipped', 'shipped');
CREATE INDEX transfer_changed_at ON transfer (changed_at);

CREATE VIEW transfer_line AS
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
    (line ->> 2)::bigint AS shipped,
    (line ->> 3)::bigint AS received,
    (line ->> 4)::bigint AS damaged,
    (line ->> 5)::bigint AS lost,
    (line ->> 6)::bigint AS cancelled
FROM transfer
CROSS JOIN LATERAL jsonb_array_elements(transfer.record -> 'n') AS line;
