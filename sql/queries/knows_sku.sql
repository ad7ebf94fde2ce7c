SELECT EXISTS (SELECT FROM stock WHERE stock.sku = :sku)
