INSERT INTO purchase_order (purchase_order_id, warehouse, fingerprint, who) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING purchase_order_id
