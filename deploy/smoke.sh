#!/usr/bin/env bash
# Deploys docker-compose.yml on this machine's engine, looks whether it is what it says, and takes it down again.
#
#     deploy/smoke.sh [TEXT [EXPECTED]]     an English text, and the German one that must come back
#
# Needs Docker with Compose v2, curl, and the command `attendant` (CLIENT names another one than .venv's).
set -euo pipefail
cd "$(dirname "$0")/.."

text=${1:-A man is riding a bicycle.}
expected=${2:-}
client=${CLIENT:-.venv/bin/attendant}
target=127.0.0.1:50051

fail() { echo "FAILED: $*" >&2; exit 1; }
inside() { docker compose exec -T "$@"; }
# What `docker inspect` says of the container.
state() { docker inspect -f "{{$1}}" "$container"; }

command -v "$client" >/dev/null || fail "no command $client"
[ -z "$(docker compose ps -aq)" ] || fail "it is deployed already: 'docker compose down' first"
trap 'docker compose logs --tail 20 server >&2 || true; docker compose down' EXIT

docker compose up --build --wait
container=$(docker compose ps -q server)
echo "up: health is $(state .State.Health.Status)"

translation=$("$client" translate --target $target --from en --to de "$text") || fail 'no answer'
echo "translated: $text -> $translation"
[ -n "$translation" ] && [ "$translation" != "$text" ] || fail 'nothing was translated'
[ "${expected:-$translation}" = "$translation" ] || fail "expected $expected"

metrics=$(curl -fsS http://127.0.0.1:9090/metrics) || fail 'there are no metrics'
grep -q '^attendant_requests_total{code="OK".* 1\.0$' <<<"$metrics" || fail 'the metrics do not count the call'

[ "$(inside server id -u)" != 0 ] || fail 'it runs as root'
inside -u 0 server touch /app/file 2>/dev/null && fail 'its file system can be written'
status=$(inside server cat /proc/1/status)
grep -q '^CapBnd:.0*$' <<<"$status" || fail 'it has capabilities'
grep -q '^NoNewPrivs:.1$' <<<"$status" || fail 'it may gain privileges'
inside server python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is not None)' ||
    fail 'there is torch in it'
for tool in cc gcc make; do
    inside server sh -c "command -v $tool" >/dev/null && fail "there is $tool in it"
done
docker compose logs server 2>&1 | grep -i telemetry && fail 'ONNX Runtime reports to its maker'
docker port "$container" | grep -v ' 127\.0\.0\.1:' && fail 'a port is open to others than this machine'
echo 'inside: no root, nothing to write, no capabilities, no torch, no compiler'
echo "image: $(($(docker image inspect -f '{{.Size}}' "$(state .Image)") / 1000000)) MB"
echo "memory: $(docker stats --no-stream --format '{{.MemUsage}}' "$container")"

started=$SECONDS
docker compose stop
echo "stopped after $((SECONDS - started)) s, exit code $(state .State.ExitCode)"
[ "$(state .State.ExitCode)" = 0 ] || fail 'SIGTERM did not end it cleanly'
trap - EXIT
docker compose down
