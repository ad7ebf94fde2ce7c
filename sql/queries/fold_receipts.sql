-- Of an event that was refused as a whole each move comes by itself: good and damaged units of a SKU are added up then.
-- None comes twice: its move, which is added in the same transaction, would be there already.
INSERT INTO purchase_order_receipt (purchase_order_id, sku, epoch, n, good, damaged)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
ON CONFLICT (purchase_order_id, sku, epoch, n) DO UPDATE SET
    good = purchase_order_receipt.good + excluded.good, damaged = purchase_order_receipt.damaged + excluded.damaged
