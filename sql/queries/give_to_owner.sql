-- Statements that give what the superuser who asks has made in the ledger's schemas, and the database, to the role $1.
WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'archive')),
superuser AS (SELECT oid FROM pg_roles WHERE rolname = current_user)
SELECT format(
    'ALTER %s %I.%I OWNER TO %I', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, nspname, relname, $1::text
)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relnamespace IN (SELECT oid FROM ours) AND relkind IN ('r', 'p', 'v') AND relowner = (SELECT oid FROM superuser)
UNION ALL
SELECT format('ALTER FUNCTION %s OWNER TO %I', pg_proc.oid::regprocedure, $1::text) FROM pg_proc
WHERE pronamespace IN (SELECT oid FROM ours) AND proowner = (SELECT oid FROM superuser)
UNION ALL
SELECT format('ALTER TYPE %s OWNER TO %I', pg_type.oid::regtype, $1::text) FROM pg_type
WHERE typnamespace IN (SELECT oid FROM ours) AND typtype = 'e' AND typowner = (SELECT oid FROM superuser)
UNION ALL
SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, $1::text) FROM pg_namespace
WHERE nspname = 'archive' AND nspowner = (SELECT oid FROM superuser)
UNION ALL
SELECT format('ALTER DATABASE %I OWNER TO %I', datname, $1::text) FROM pg_database
WHERE datname = current_database() AND datdba = (SELECT oid FROM superuser)
