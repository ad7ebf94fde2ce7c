SELECT DISTINCT sku FROM purchase_order_line WHERE sku = ANY ($1::text[])
