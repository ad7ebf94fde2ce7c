SELECT purchase_order_id FROM purchase_order WHERE purchase_order_id > :after
ORDER BY purchase_order_id LIMIT :items_max
