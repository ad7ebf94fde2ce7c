#!/bin/sh
# The first start of the Postgres container: an ordinary user who owns the ledger. As its owner it still cannot
# change facts (UPDATE and DELETE on event and move are revoked); a superuser could.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$LEDGER_PASSWORD" --username "$POSTGRES_USER" <<'SQL'
CREATE ROLE sellable LOGIN PASSWORD :'password';
CREATE DATABASE sellable OWNER sellable;
SQL
