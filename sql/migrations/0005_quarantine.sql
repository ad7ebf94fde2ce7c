-- What Postgres refused of events, and what waits behind it; the rest of the same events is booked.

-- The whole event, as it came: of each one of which any part is in quarantine.
CREATE TABLE quarantined_event (
    shard    smallint    NOT NULL,
    epoch    bigint      NOT NULL,
    n        bigint      NOT NULL,
    body     bytea       NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch, n)
);

-- Parts of events, in order, by what they are about: the moves of a SKU, the record of a lock or transfer.
CREATE TABLE quarantine (
    shard     smallint    NOT NULL,
    epoch     bigint      NOT NULL,
    n         bigint      NOT NULL,
    part      text        NOT NULL CHECK (part IN ('move', 'document', 'event')),
    line      integer     NOT NULL,
    subject   text        NOT NULL,
    version   bigint,
    sqlstate  text,
    error     text,
    parked_at timestamptz NOT NULL DEFAULT now(),
    ended_at  timestamptz,
    ended_as  text        CHECK (ended_as IN ('applied', 'dropped', 'kept raw')),
    reason    text,
    PRIMARY KEY (shard, epoch, n, part, line),
    FOREIGN KEY (shard, epoch, n) REFERENCES quarantined_event
);
CREATE INDEX quarantine_open ON quarantine (shard, part, subject, epoch, n, line) WHERE ended_at IS NULL;
COMMENT ON COLUMN quarantine.sqlstate IS 'why Postgres refused it; null: it waits behind one that was refused';
