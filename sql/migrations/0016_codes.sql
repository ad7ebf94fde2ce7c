-- Codes come into being on purpose: the list of warehouses, and the SKUs by what makes two of them alike.

-- merged_into: it should never have been, and is listed no more; what was booked there is in that one.
CREATE TABLE warehouse (
    code        text        PRIMARY KEY,
    name        text        NOT NULL DEFAULT '',
    rank        integer,
    closed      boolean     NOT NULL DEFAULT false,
    merged_into text,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- What is known so far.
INSERT INTO warehouse (code)
SELECT warehouse FROM stock
UNION SELECT warehouse FROM purchase_order
UNION SELECT record ->> 'a' FROM transfer WHERE record ? 'a'
UNION SELECT record ->> 'b' FROM transfer WHERE record ? 'b'
UNION SELECT warehouse FROM reconciliation;

-- Every SKU that has moved or was ordered, under its key (`key_of` in app/domain/codes.py): SKUs of one key are alike.
-- The migration fills it.
CREATE TABLE sku_key (
    key text NOT NULL,
    sku text NOT NULL,
    PRIMARY KEY (key, sku)
);
