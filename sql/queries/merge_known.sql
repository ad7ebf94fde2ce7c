-- Whether a code that is to be merged was ever one of a warehouse, and how many events of the inbox wait that name it.
SELECT
    EXISTS (SELECT FROM warehouse WHERE code = $1) OR EXISTS (SELECT FROM stock WHERE warehouse = $1)
        OR EXISTS (SELECT FROM purchase_order WHERE warehouse = $1) AS is_known,
    (SELECT count(*) FROM inbox WHERE warehouse = $1 AND status IN ('parked', 'quarantined')) AS waiting
