SELECT warehouse, version, available, locked, damaged, in_transit, buffer FROM stock WHERE sku = $1
