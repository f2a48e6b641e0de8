#!/bin/sh
# Fails if the committed modules are not what the proto generates. Usage: protos/check.sh
set -eu
cd "$(dirname "$0")"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
./generate.sh "$fresh"
for file in "$fresh"/attendant_protos/v1/*; do
    diff -u "python/attendant_protos/v1/$(basename "$file")" "$file" || {
        echo "protos/python is stale: run make protos" >&2
        exit 1
    }
done
