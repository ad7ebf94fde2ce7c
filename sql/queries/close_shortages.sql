UPDATE shortage SET units = 0, closed_at = $3
FROM unnest($1::text[], $2::text[]) AS given (sku, warehouse)
WHERE shortage.sku = given.sku AND shortage.warehouse = given.warehouse AND shortage.closed_at IS NULL
