SELECT sku, max(version) AS version FROM stock WHERE sku = ANY ($1::text[]) GROUP BY sku
