#!/usr/bin/env bash
# Prove that packages/protos holds exactly what `make gen` would write now.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
buf generate --output "$fresh"
for folder in nuncio buf; do
  if ! diff -r -x __pycache__ -x py.typed "$fresh/packages/protos/$folder" "packages/protos/$folder"; then
    echo "stubs are not fresh: run make gen" >&2
    exit 1
  fi
done
