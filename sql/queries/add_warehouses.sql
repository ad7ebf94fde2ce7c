-- One that is known already stays as it is, also if it was merged into another.
INSERT INTO warehouse (code) SELECT DISTINCT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING
