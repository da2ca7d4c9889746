#!/usr/bin/env bash
# Compares docs/openapi with the running binary: schemathesis sends generated requests to `connector-cache demo`.
# Usage: tools/openapi/check.sh [BINARY]; EXAMPLES bounds the requests of each operation and phase.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
binary=${1:-$root/target/debug/connector-cache}
venv=$root/target/openapi
version=4.32.5
work=$(mktemp -d)

if [ "$(cat "$venv/installed" 2>/dev/null)" != "$version" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
    echo "$version" >"$venv/installed"
fi

CONNECTOR_CACHE__LISTEN__ADDRESS=127.0.0.1:0 CONNECTOR_CACHE__ADMIN__ADDRESS=127.0.0.1:0 \
    "$binary" demo >"$work/demo" 2>"$work/log" &
demo=$!
trap 'kill $demo 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    grep -q 'Ctrl-C' "$work/demo" && break
    sleep 0.1
done
data=$(awk '$1 == "cache" { print $2; exit }' "$work/demo")
admin=$(awk '$1 == "admin" { print $2; exit }' "$work/demo")
token=$(sed -n "/Bearer/{s/.*Bearer \([^']*\)'.*/\1/p;q}" "$work/demo")
[ -n "$token" ] || { echo "check: the demo printed no token" >&2; exit 1; }

checks=not_a_server_error,status_code_conformance,content_type_conformance
checks+=,response_headers_conformance,response_schema_conformance
run() {
    (cd "$work" && "$venv/bin/schemathesis" run "$@" --checks "$checks" --phases examples,coverage,fuzzing \
        --max-examples "${EXAMPLES:-15}" --seed 1 --generation-deterministic --no-color)
}
run "$root/docs/openapi/data.yaml" --url "$data" --header "Authorization: Bearer $token"
run "$root/docs/openapi/data.yaml" --url "$data"
run "$root/docs/openapi/admin.yaml" --url "$admin"
