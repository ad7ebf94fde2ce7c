-- The books: balances that sums may start at, seals, what was archived, and what the running check found.

-- A fingerprint of an event and its moves as the ledger keeps them, made by the writer; older events have none.
ALTER TABLE event ADD COLUMN seal bytea;

-- The counts of a SKU at one of its versions, a row a warehouse: every so many moves, and where older moves were archived.
-- supplier, customer, adjustment: units that went there from this warehouse, less those that came from there.
-- occurred_from and occurred_to: the first and last occurred_at of the moves since the balance before.
CREATE TABLE balance (
    shard         smallint    NOT NULL,
    sku           text        NOT NULL,
    version       bigint      NOT NULL,
    warehouse     text        NOT NULL,
    recorded_at   timestamptz NOT NULL,
    occurred_from timestamptz NOT NULL,
    occurred_to   timestamptz NOT NULL,
    available     bigint      NOT NULL,
    locked        bigint      NOT NULL,
    damaged       bigint      NOT NULL,
    in_transit    bigint      NOT NULL,
    buffer        bigint      NOT NULL,
    supplier      bigint      NOT NULL,
    customer      bigint      NOT NULL,
    adjustment    bigint      NOT NULL,
    PRIMARY KEY (sku, version, warehouse)
);

-- A SKU's moves in pieces: from one balance (since) up to the next, and the last piece, which has no end yet.
CREATE FUNCTION pieces(of_sku text) RETURNS TABLE (
    since bigint, upto bigint, recorded_at timestamptz, occurred_from timestamptz, occurred_to timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT lag(known.version, 1, 0::bigint) OVER (ORDER BY known.version), known.*
    FROM (
        SELECT DISTINCT balance.version, balance.recorded_at, balance.occurred_from, balance.occurred_to
        FROM balance WHERE balance.sku = of_sku
    ) AS known
    UNION ALL
    SELECT coalesce(max(balance.version), 0), 9223372036854775807, 'infinity', '-infinity', 'infinity'
    FROM balance WHERE balance.sku = of_sku
$$;

-- Months of events and moves that were taken out of the ledger: everything recorded before `until`, and where that ended.
CREATE TABLE archived_month (
    shard       smallint    NOT NULL,
    until       timestamptz NOT NULL,
    epoch       bigint      NOT NULL,
    n           bigint      NOT NULL,
    tip         text        NOT NULL,
    events      bigint      NOT NULL,
    moves       bigint      NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, until)
);

-- Where sums start: the balance of each SKU that has archived moves. (Earlier balances are removed with those moves.)
CREATE VIEW balance_base AS
SELECT balance.* FROM balance
WHERE balance.recorded_at < (SELECT max(archived_month.until) FROM archived_month);

-- Ids used by archived events on no lock: receipts and counts are taken once, however late they are repeated.
CREATE TABLE archived_op (
    op          text   PRIMARY KEY,
    fingerprint text   NOT NULL,
    epoch       bigint NOT NULL,
    n           bigint NOT NULL
);

-- Locks that ended long ago, taken out of `lock`.
CREATE TABLE closed_lock (
    shard         smallint    NOT NULL,
    lock_id       text        NOT NULL,
    opened_epoch  bigint      NOT NULL,
    opened_n      bigint      NOT NULL,
    changed_epoch bigint      NOT NULL,
    changed_n     bigint      NOT NULL,
    changed_at    timestamptz NOT NULL,
    record        jsonb       NOT NULL,
    PRIMARY KEY (lock_id, opened_epoch, opened_n)
);

-- What the running check found: two figures that should be one. gone_at: it was looked at again, and was gone.
CREATE TABLE drift (
    drift_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard        smallint    NOT NULL,
    what         text        NOT NULL,
    place        text        NOT NULL,
    left_name    text        NOT NULL,
    left_figure  text        NOT NULL,
    right_name   text        NOT NULL,
    right_figure text        NOT NULL,
    found_at     timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    gone_at      timestamptz
);
CREATE UNIQUE INDEX drift_open ON drift (shard, what, place, left_name, right_name) WHERE gone_at IS NULL;

-- Who runs the check that never ends, until when nobody else may, and when it last came through.
CREATE TABLE daily_check (
    shard       smallint    PRIMARY KEY,
    holder      text        NOT NULL,
    until       timestamptz NOT NULL,
    began_at    timestamptz NOT NULL,
    finished_at timestamptz,
    compared    bigint      NOT NULL DEFAULT 0
);

-- A partition has rights of its own: nobody may edit or delete there either.
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('event'::regclass, 'move'::regclass) LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM PUBLIC, %I', part, current_user);
    END LOOP;
END $$;
