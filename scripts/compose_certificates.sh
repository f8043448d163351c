#!/usr/bin/env bash
# Make a private CA, a certificate per service and the registry's keys in folder $1; only once.
set -euo pipefail
cd "$1"
[ -f ca.pem ] && exit 0
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
  -subj "/CN=nuncio compose CA" -keyout ca.key -out ca.new
for service in registry targeting dispatcher feedback; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$service" \
    -keyout "$service.key" -out "$service.csr"
  openssl x509 -req -in "$service.csr" -CA ca.new -CAkey ca.key -CAcreateserial -days 825 \
    -extfile <(printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1' "$service") -out "$service.pem"
done
mkdir -p registry-keys
openssl rand -base64 32 > registry-keys/seal-1.key
openssl rand -base64 32 > registry-keys/lookup.key
chown -R 10001 . && chmod -R u=rwX,go= registry-keys ./*.key
mv ca.new ca.pem
