#!/bin/sh
# Fails if the committed modules are not what the protos generate. Usage: protos/check.sh
set -eu
cd "$(dirname "$0")"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
./generate.sh "$fresh" "$fresh"
# Usage: compare FRESH COMMITTED
compare() {
    for file in "$1"/*; do
        diff -u "$2/$(basename "$file")" "$file" || {
            echo "$2 is stale: run make protos" >&2
            exit 1
        }
    done
}
compare "$fresh/attendant_protos/v1" python/attendant_protos/v1
compare "$fresh/server/rpc/inference_stubs" ../server/rpc/inference_stubs
compare "$fresh/clients/python/attendant/load/kserve_stubs" ../clients/python/attendant/load/kserve_stubs
# What clients that are out there were compiled from; after a release, a copy of the proto as released.
"${PYTHON:-python3}" compatibility.py released . attendant/v1/translation.proto
