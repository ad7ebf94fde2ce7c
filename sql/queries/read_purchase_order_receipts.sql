-- What arrived for some orders, up to a position; `planned` is what the order's lines ask for.
SELECT
    receipt.purchase_order_id, receipt.sku, sum(receipt.good)::bigint AS good, sum(receipt.damaged)::bigint AS damaged,
    coalesce((
        SELECT sum(line.quantity) FROM purchase_order_line AS line
        WHERE line.purchase_order_id = receipt.purchase_order_id AND line.sku = receipt.sku
    ), 0)::bigint AS planned
FROM purchase_order_receipt AS receipt
WHERE receipt.purchase_order_id = ANY (:ids) AND (receipt.epoch, receipt.n) <= (:epoch, :n)
GROUP BY receipt.purchase_order_id, receipt.sku
ORDER BY receipt.purchase_order_id, receipt.sku
