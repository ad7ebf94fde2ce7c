SELECT purchase_order_id FROM purchase_order WHERE purchase_order_id = ANY (:ids)
