INSERT INTO purchase_order_receipt (purchase_order_id, sku, epoch, n, good, damaged)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
