-- Of each SKU in a warehouse that an opening has set after a time: when the last one did.
SELECT move.sku, move.warehouse, max(move.occurred_at) AS occurred_at
FROM unnest($1::text[], $2::text[]) AS given (sku, warehouse)
JOIN move ON move.sku = given.sku AND move.warehouse = given.warehouse AND move.occurred_at > $3::timestamptz
JOIN event USING (shard, epoch, n, recorded_at)
WHERE event.kind = 'opening' AND move.source <> 'buffer'
GROUP BY move.sku, move.warehouse
