#!/bin/sh
# Writes the Python modules of the public API into DIR (default: protos/python), and those of the Open Inference
# Protocol, the server's and the load tester's, into STUBS (default: the repository). Usage: generate.sh [DIR [STUBS]]
set -eu
cd "$(dirname "$0")"
out=${1:-python}
stubs=${2:-..}
# The virtual path attendant_protos/v1 makes the generated import independent of the SDK's package `attendant`.
"${PYTHON:-python3}" -m grpc_tools.protoc -I attendant_protos/v1=attendant/v1 \
    --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" attendant_protos/v1/translation.proto
mkdir -p "$out/attendant_protos" && touch "$out/attendant_protos/py.typed"
"${PYTHON:-python3}" -m grpc_tools.protoc -I server/rpc/inference_stubs=inference/v2 \
    --python_out="$stubs" --pyi_out="$stubs" server/rpc/inference_stubs/inference.proto
# The load tester's own, so that it needs no server: of another package, since a process has each name but once.
kserve=$(mktemp -d)
trap 'rm -rf "$kserve"' EXIT
mkdir -p "$kserve/attendant/load/kserve_stubs"
sed 's/^package inference;/package attendant.load.kserve;/' inference/v2/inference.proto \
    >"$kserve/attendant/load/kserve_stubs/inference.proto"
mkdir -p "$stubs/clients/python"
"${PYTHON:-python3}" -m grpc_tools.protoc -I "$kserve" --python_out="$stubs/clients/python" \
    --pyi_out="$stubs/clients/python" attendant/load/kserve_stubs/inference.proto
