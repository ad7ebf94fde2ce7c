-- Warehouses that were merged into others are listed again, because somebody names them on purpose.
UPDATE warehouse SET merged_into = NULL WHERE code = ANY ($1::text[]) AND merged_into IS NOT NULL
