UPDATE purchase_order SET closed_at = now() WHERE purchase_order_id = :purchase_order_id AND closed_at IS NULL
