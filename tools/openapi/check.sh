#!/usr/bin/env bash
# Compares docs/openapi with the running binary: schemathesis sends generated requests to `connector-cache demo`, and rest.py
# those that the documents do not list, and reads the stream of the console, which has no end. Skipped where the package
# cannot be installed.
# Usage: tools/openapi/check.sh [BINARY]; EXAMPLES bounds the requests of each operation and phase.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
binary=${1:-$root/target/debug/connector-cache}
venv=$root/target/openapi
version=4.32.5
work=$(mktemp -d)
demos=()
finish() {
    local demo
    for demo in "${demos[@]}"; do kill "$demo" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

if [ "$(cat "$venv/installed" 2>/dev/null)" != "$version" ]; then
    rm -rf "$venv"
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"; } \
        >"$work/pip" 2>&1; then
        tail -n 3 "$work/pip" >&2
        echo "skipped: schemathesis $version cannot be installed, so docs/openapi was not compared with the binary" >&2
        exit 0
    fi
    echo "$version" >"$venv/installed"
fi

# Starts a demo on free ports: variables, and after `--` arguments. Sets data, admin and token.
start() {
    local output=$work/demo${#demos[@]} variables=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do variables+=("$1"); shift; done
    [ $# -eq 0 ] || shift
    env "${variables[@]}" CONNECTOR_CACHE__LISTEN__ADDRESS=127.0.0.1:0 CONNECTOR_CACHE__ADMIN__ADDRESS=127.0.0.1:0 \
        "$binary" demo "$@" >"$output" 2>"$work/log" &
    demos+=($!)
    for _ in $(seq 100); do
        grep -q 'Ctrl-C' "$output" && break
        sleep 0.1
    done
    data=$(awk '$1 == "cache" { print $2; exit } $1 == "replica" { print $3; exit }' "$output")
    admin=$(awk '$1 == "admin" { print $2; exit } $1 == "replica" { print $5; exit }' "$output")
    token=$(sed -n "/Bearer ey\|^TOKEN='/{s/.*Bearer \([^']*\)'.*/\1/;s/^TOKEN='\(.*\)'$/\1/;p;q}" "$output")
    [ -n "$token" ] || { echo "check: the demo printed no token" >&2; exit 1; }
}

checks=not_a_server_error,status_code_conformance,content_type_conformance,unsupported_method
checks+=,response_headers_conformance,response_schema_conformance
run() {
    (cd "$work" && "$venv/bin/schemathesis" run "$@" --checks "$checks" --phases examples,coverage,fuzzing \
        --max-examples "${EXAMPLES:-15}" --seed 1 --generation-deterministic --request-timeout 10 --no-color)
}
rest() {
    "$venv/bin/python" "$root/tools/openapi/rest.py" "$@"
}
run_admin() {
    run "$root/docs/openapi/admin.yaml" --url "$admin" --exclude-operation-id getConsoleStream "$@"
    rest "$root/docs/openapi/admin.yaml" "$admin" "$@"
}
# Requires that a response with the status was compared, so that no part of a document stays untried.
reached() {
    grep -q "^connector_cache_requests_total.*method=\"$1\".*status=\"$2\"" <(curl -s "$admin/metrics") ||
        { echo "check: no request with $1 and $2 was sent to the data port" >&2; exit 1; }
}

start
run "$root/docs/openapi/data.yaml" --url "$data" --header "Authorization: Bearer $token"
run "$root/docs/openapi/data.yaml" --url "$data"
rest "$root/docs/openapi/data.yaml" "$data"
for seen in 'GET 200' 'HEAD 200' 'GET 400' 'GET 401' 'GET 404' 'other 405'; do
    # shellcheck disable=SC2086 # two words
    reached $seen
done
run_admin

echo "admin-token-of-the-check" >"$work/token"
start CONNECTOR_CACHE__ADMIN__TOKEN_FILE="$work/token"
run_admin --header "Authorization: Bearer admin-token-of-the-check"
run_admin

# Replicas that share a store, for the members of `shared` and the confirmation of a purge. tools/setup.sh fetches the server.
if PATH=$root/target/tools/usr/bin:$PATH command -v redis-server >/dev/null; then
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    PATH=$root/target/tools/usr/bin:$PATH redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$work" >/dev/null &
    demos+=($!)
    start CONNECTOR_CACHE__ADMIN__TOKEN_FILE="$work/token" -- --replicas 2 --shared "redis://127.0.0.1:$port"
    for _ in $(seq 100); do
        grep -q '^connector_cache_replicas 2' <(curl -s "$admin/metrics") && break
        sleep 0.1
    done
    run_admin --header "Authorization: Bearer admin-token-of-the-check"
    purged=$(curl -s -X DELETE -H "Authorization: Bearer admin-token-of-the-check" "$admin/cache")
    [[ $purged == *'"confirmed":2'* ]] || { echo "check: not confirmed by two replicas: $purged" >&2; exit 1; }
else
    echo "check: redis-server is not here, so the members of shared were not compared"
fi
