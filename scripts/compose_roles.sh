#!/usr/bin/env bash
# Run once by the postgres image of compose.yaml: a role and a schema per service, nothing shared.
set -euo pipefail
for service in registry targeting dispatcher feedback; do
  password="${service^^}_PASSWORD"
  psql --username postgres --dbname nuncio --set ON_ERROR_STOP=1 \
       --set role="nuncio_$service" --set schema="$service" --set password="${!password}" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE SCHEMA :"schema" AUTHORIZATION :"role";
SQL
done
