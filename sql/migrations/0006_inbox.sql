-- Events of warehouse systems: what waits for its turn, its document or a person; how far each source is; what was counted.

-- Ids that an event of the inbox is known by besides its op: of the shipment, receipt, … that it tells of.
CREATE TABLE event_id (
    shard       smallint    NOT NULL,
    epoch       bigint      NOT NULL,
    n           bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    op          text        NOT NULL,
    fingerprint text        NOT NULL,
    units       text        NOT NULL
);
CREATE INDEX event_id_op ON event_id (op);
CREATE INDEX event_id_position ON event_id (shard, epoch, n);

-- How far a source's numbered events of a warehouse are.
CREATE TABLE inbox_sequence (
    shard     smallint NOT NULL,
    source    text     NOT NULL,
    warehouse text     NOT NULL,
    number    bigint   NOT NULL,
    PRIMARY KEY (source, warehouse)
);

-- What was counted when: a fact of before that comes later changes nothing of it.
CREATE TABLE counted (
    shard      smallint    NOT NULL,
    sku        text        NOT NULL,
    warehouse  text        NOT NULL,
    counted_at timestamptz NOT NULL,
    damaged    boolean     NOT NULL,
    PRIMARY KEY (sku, warehouse, counted_at)
);

-- Events that are not booked yet, and what became of them: parked ones are tried again by the worker and booked at
-- `until` whatever is missing, quarantined ones wait for a person.
CREATE TABLE inbox (
    source      text        NOT NULL,
    event_id    text        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('parked', 'quarantined', 'applied', 'duplicate', 'dropped')),
    why         text        NOT NULL,
    event       jsonb       NOT NULL,
    fingerprint text        NOT NULL,
    warehouse   text        NOT NULL,
    sequence    bigint,
    who         text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    until       timestamptz NOT NULL,
    next_at     timestamptz NOT NULL DEFAULT now(),
    tries       integer     NOT NULL DEFAULT 0,
    closed_at   timestamptz,
    PRIMARY KEY (source, event_id)
);
CREATE INDEX inbox_parked ON inbox (next_at) WHERE status = 'parked';
CREATE INDEX inbox_open ON inbox (received_at) WHERE status IN ('parked', 'quarantined');
