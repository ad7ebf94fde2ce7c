-- Events that were seen in the hot store, and are in the ledger not yet or never: a memory that comes back smaller shows.

-- How far a shard's memory was seen to be, by epoch, where the ledger was not there yet. Rows of epochs that are over
-- are taken out again, and what is nowhere then goes to lost_range.
CREATE TABLE seen (
    shard   smallint    NOT NULL,
    epoch   bigint      NOT NULL,
    n       bigint      NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch)
);

-- Numbers of events that there were, and that the ledger never got. What is known of some of them is in lost_event.
CREATE TABLE lost_range (
    shard    smallint    NOT NULL,
    epoch    bigint      NOT NULL,
    first_n  bigint      NOT NULL,
    last_n   bigint      NOT NULL CHECK (last_n >= first_n),
    seen_at  timestamptz NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch, first_n)
);
