-- Statements that make those of the roles $1 that are missing.
SELECT format('CREATE ROLE %I', name) FROM unnest($1::text[]) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
