UPDATE purchase_order SET warehouse = $2 WHERE warehouse = $1
