-- Documents: what reporters said of each, for ever; and what they disagree on.

-- By SKU of a family of documents: its sums as the hot store has them (see app/domain/documents.py), who reported, and the
-- event that changed them last. lock_id: what the goods of a return were shipped for.
CREATE TABLE document_sum (
    shard      smallint    NOT NULL,
    family     text        NOT NULL,
    sku        text        NOT NULL,
    sums       jsonb       NOT NULL,
    reporters  text[]      NOT NULL,
    lock_id    text,
    epoch      bigint      NOT NULL,
    n          bigint      NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (family, sku)
);
CREATE INDEX document_sum_changed ON document_sum (epoch, n);

-- What reporters of one document say differently of a SKU: a case for a person. It closes by itself when they agree.
-- said: what they had said when a person decided; nothing else opens it again but that one says more.
CREATE TABLE mismatch (
    mismatch_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard       smallint    NOT NULL,
    family      text        NOT NULL,
    sku         text        NOT NULL,
    differs     text        NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    decision    text        CHECK (decision IN ('accepted', 'dropped')),
    said        jsonb,
    reason      text,
    who         text
);
CREATE UNIQUE INDEX mismatch_open ON mismatch (family, sku) WHERE closed_at IS NULL;
CREATE INDEX mismatch_decided ON mismatch (family, sku) WHERE decision IS NOT NULL;
