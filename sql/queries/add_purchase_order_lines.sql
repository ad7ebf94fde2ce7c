INSERT INTO purchase_order_line (purchase_order_id, line, sku, quantity, expected_at)
SELECT $1, given.line, given.sku, given.quantity, given.expected_at
FROM unnest($2::smallint[], $3::text[], $4::bigint[], $5::timestamptz[]) AS given (line, sku, quantity, expected_at)
