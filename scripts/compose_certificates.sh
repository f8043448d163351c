#!/usr/bin/env bash
# Make a private CA in folder $1/ca, and in a folder per service beside it what that service needs:
# the CA's certificate, its own certificate and key, and the registry's keys. Only once.
set -euo pipefail
cd "$1"
[ -f ca/ca.pem ] && exit 0
mkdir -p ca
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
  -subj "/CN=nuncio compose CA" -keyout ca/ca.key -out ca/new.pem
for service in registry targeting dispatcher feedback; do
  mkdir -p "$service"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$service" \
    -keyout "$service/tls.key" -out ca/request.csr
  openssl x509 -req -in ca/request.csr -CA ca/new.pem -CAkey ca/ca.key -CAcreateserial -days 825 \
    -extfile <(printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1' "$service") \
    -out "$service/tls.pem"
  cp ca/new.pem "$service/ca.pem"
done
mkdir -p registry/keys
openssl rand -base64 32 > registry/keys/seal-1.key
openssl rand -base64 32 > registry/keys/lookup.key
for service in registry targeting dispatcher feedback; do
  chown -R 10001 "$service"
  chmod -R u=rwX,go= "$service"
done
chmod -R u=rwX,go= ca
mv ca/new.pem ca/ca.pem
