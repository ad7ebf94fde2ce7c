#!/bin/sh
# The users of the ledger, at the first start of the Postgres container; running it again gives them their passwords.
# `sellable` owns the tables and only migrates. `sellable_writer` (the worker and the commands) and `sellable_clerk` (the API)
# own nothing: `sellable migrate` gives them what sql/grants.sql lists.
set -eu
psql --set=ON_ERROR_STOP=1 --set=owner="$LEDGER_PASSWORD" --set=writer="$LEDGER_WRITER_PASSWORD" \
    --set=clerk="$LEDGER_CLERK_PASSWORD" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['sellable', 'sellable_writer', 'sellable_clerk']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE sellable LOGIN PASSWORD :'owner';
ALTER ROLE sellable_writer LOGIN PASSWORD :'writer';
ALTER ROLE sellable_clerk LOGIN PASSWORD :'clerk';
SELECT 'CREATE DATABASE sellable OWNER sellable' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'sellable')
\gexec
REVOKE ALL ON DATABASE sellable FROM PUBLIC;
GRANT CONNECT ON DATABASE sellable TO sellable_writer, sellable_clerk;
GRANT TEMPORARY ON DATABASE sellable TO sellable_writer; -- `ledger check` makes the schema there, to compare with
SQL
