-- Recovery: which installation a ledger belongs to, and what became of a branch that was not taken.

-- Which installation this ledger is of: its hot store carries the same id. One row, made when a gate first opens.
CREATE TABLE installation (
    id      text    NOT NULL,
    the_one boolean PRIMARY KEY DEFAULT true CHECK (the_one)
);

ALTER TABLE lost_event ADD COLUMN finding text NOT NULL DEFAULT 'different';
COMMENT ON COLUMN lost_event.finding IS 'fork, different: a branch not taken; named: told by a process that had acknowledged it; carry_over: its effect was booked';

-- What the hot store had, and what it was set to after the ledger, where a branch was not taken.
CREATE TABLE stock_correction (
    shard     smallint    NOT NULL,
    epoch     bigint      NOT NULL,
    sku       text        NOT NULL,
    warehouse text        NOT NULL,
    before    jsonb       NOT NULL,
    after     jsonb       NOT NULL,
    found_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch, sku, warehouse)
);
