-- The counts as they are now, and the sums as they go on; where somebody left the sums behind, they stay behind.
INSERT INTO stock (
    shard, sku, warehouse, version, available, locked, damaged, in_transit, buffer, supplier, customer, adjustment,
    recorded_at, occurred_from, occurred_to, summed
)
SELECT $1, given.*, given.version FROM unnest(
    $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[]
) AS given (
    sku, warehouse, version, available, locked, damaged, in_transit, buffer, supplier, customer, adjustment,
    recorded_at, occurred_from, occurred_to
)
ON CONFLICT (sku, warehouse) DO UPDATE SET
    version = excluded.version, available = excluded.available, locked = excluded.locked,
    damaged = excluded.damaged, in_transit = excluded.in_transit, buffer = excluded.buffer,
    supplier = stock.supplier + excluded.supplier, customer = stock.customer + excluded.customer,
    adjustment = stock.adjustment + excluded.adjustment,
    recorded_at = greatest(stock.recorded_at, excluded.recorded_at),
    occurred_from = least(stock.occurred_from, excluded.occurred_from),
    occurred_to = greatest(stock.occurred_to, excluded.occurred_to),
    summed = CASE WHEN stock.summed = stock.version THEN excluded.version END
