INSERT INTO sku_key (key, sku) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING
