-- Running sums: what a balance says of the outside is carried along, so that nobody has to read a thousand moves for it.

-- The units that went to each place outside, less those that came from there; and when the moves since the last balance
-- were recorded and happened. `summed` is the version up to which that is so: where it is not `version`, it has to be summed anew.
ALTER TABLE stock
    ADD COLUMN supplier      bigint NOT NULL DEFAULT 0,
    ADD COLUMN customer      bigint NOT NULL DEFAULT 0,
    ADD COLUMN adjustment    bigint NOT NULL DEFAULT 0,
    ADD COLUMN recorded_at   timestamptz,
    ADD COLUMN occurred_from timestamptz,
    ADD COLUMN occurred_to   timestamptz,
    ADD COLUMN summed        bigint;
COMMENT ON COLUMN stock.supplier IS 'units that went there less those that came from there; so customer and adjustment';
COMMENT ON COLUMN stock.summed IS 'the version up to which the sums and times hold';
