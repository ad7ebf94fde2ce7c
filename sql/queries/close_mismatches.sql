UPDATE mismatch SET closed_at = $3
FROM unnest($1::text[], $2::text[]) AS given (family, sku)
WHERE mismatch.family = given.family AND mismatch.sku = given.sku AND mismatch.closed_at IS NULL
