#!/usr/bin/env bash
# Runs an image as a cluster would, before the demo's stand-in for Graph, and ends it with SIGTERM.
# Usage: tools/image/try.sh IMAGE
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tools/image/storage.sh"
cd "$root"
tag=${1:?expected the name of an image}
proxy=connector-cache-try-$$
work=$(mktemp -d)
demo=

finish() {
    podman rm --force --time 0 "$proxy" > /dev/null 2>&1 || true
    [ -z "$demo" ] || kill "$demo" 2> /dev/null || true
    rm -r "$work"
}
trap finish EXIT

fail() {
    echo "FAILED: $*" >&2
    podman logs "$proxy" >&2 2> /dev/null || true
    exit 1
}

said() {
    echo "ok: $*"
}

# Starts the proxy as restricted as it can be. Takes options of podman run.
start() {
    podman run --detach --name "$proxy" --pull never --no-healthcheck --network host --read-only --cap-drop all \
        --security-opt no-new-privileges --memory 64m --cpus 0.5 \
        --env CONNECTOR_CACHE__LISTEN__ADDRESS="127.0.0.1:$data" \
        --env CONNECTOR_CACHE__ADMIN__ADDRESS="127.0.0.1:$admin" \
        --env CONNECTOR_CACHE__DRAIN__DELAY=1s "$@" "$tag" > /dev/null
    curl -sS --fail --retry 50 --retry-delay 1 --retry-all-errors --max-time 2 "http://127.0.0.1:$admin/readyz" \
        > /dev/null 2>&1 || fail "the proxy does not become ready"
}

# Ends it with SIGTERM, and wants a clean end.
stop() {
    podman stop --time 20 "$proxy" > /dev/null
    code=$(podman inspect --format '{{.State.ExitCode}}' "$proxy")
    [ "$code" = 0 ] || fail "SIGTERM ended the proxy with exit code $code; expected 0"
    podman rm "$proxy" > /dev/null
}

free_ports() {
    python3 - <<'END'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))
END
}

# ask NAME CURL-OPTIONS...: body to work/NAME, head to work/NAME.head, prints the status.
ask() {
    local name=$1
    shift
    curl -sS --max-time 10 -D "$work/$name.head" -o "$work/$name" -w '%{http_code}' "$@"
}

# What the image is.
size=$(podman image inspect --format '{{.Size}}' "$tag")
[ "$size" -le 15000000 ] || fail "the image has $size bytes; 15 MB is the limit"
said "$tag has $size bytes"
[ "$(podman image inspect --format '{{.User}}' "$tag")" = 65532:65532 ] || fail "the user of the image is no number"
for label in title description licenses version revision; do
    value=$(podman image inspect --format "{{index .Labels \"org.opencontainers.image.$label\"}}" "$tag")
    [ -n "$value" ] && [ "$value" != unknown ] || fail "the label $label is missing"
done
run_once() { podman run --rm --pull never --no-healthcheck --network none --read-only "$tag" "$@"; }
run_once check | grep -q '^base_url = "https://graph.microsoft.com" # default$' || fail "check prints no configuration"
run_once --help | grep -q '^  demo ' || fail "the image has no demo"
said "it has a numeric user, its labels, and the demo"

# The stand-in for Graph, and a token for it.
binary=target/debug/connector-cache
[ -x "$binary" ] || cargo build
exec 3< <(exec "$binary" demo)
demo=$!
while read -r -t 30 -u 3 line; do
    echo "$line" >> "$work/demo"
    case $line in Ctrl-C*) break ;; esac
done
graph=$(sed -n 's|^stand-in  http://127.0.0.1:\([0-9]*\),.*|\1|p' "$work/demo")
# The first of several commands. sed itself ends there: it would fail if it wrote to a reader that has ended.
token=$(sed -n "/^curl .*Bearer/{s/.*\(Authorization: Bearer [^']*\)'.*/\1/p;q}" "$work/demo")
target=$(sed -n "/^curl .*Bearer/{s|.*'http://[^/]*\(/[^']*\)'\$|\1|p;q}" "$work/demo")
[ -n "$graph" ] && [ -n "$token" ] && [ -n "$target" ] || fail "the demo prints something else than expected"

# By name, so that a static binary without a C library around it is seen to resolve it.
read -r data admin < <(free_ports)
start --env CONNECTOR_CACHE__GRAPH__BASE_URL="http://localhost:$graph"
pid=$(podman inspect --format '{{.State.Pid}}' "$proxy")
grep -q '^CapEff:\s*0\{16\}$' "/proc/$pid/status" || fail "the proxy has capabilities"
grep -q '^NoNewPrivs:\s*1$' "/proc/$pid/status" || fail "the proxy may gain privileges"
grep -q '^Uid:\s*65532\s' "/proc/$pid/status" || fail "the proxy runs as another user"
[ "$(podman exec "$proxy" /connector-cache healthcheck)" = ready ] || fail "the health check of the image"
url=http://127.0.0.1:$data$target
[ "$(ask first -H "$token" "$url")" = 200 ] || fail "the first request: $(cat "$work/first.head" "$work/first")"
grep -qi '^cache-status: .*fwd=uri-miss.*stored' "$work/first.head" || fail "the first request is no miss"
[ "$(ask second -H "$token" "$url")" = 200 ] || fail "the second request: $(cat "$work/second.head")"
grep -qi '^cache-status: connector-cache; hit' "$work/second.head" || fail "the second request is no hit"
cmp -s "$work/first" "$work/second" || fail "hit and miss differ"
grep -qF '"******"' "$work/first" || fail "no credential is masked"
[ "$(ask none "$url")" = 401 ] || fail "a request without a token got $(head -1 "$work/none.head")"
[ "$(ask metrics "http://127.0.0.1:$admin/metrics")" = 200 ] || fail "no metrics"
revision=$(podman image inspect --format '{{index .Labels "org.opencontainers.image.revision"}}' "$tag")
grep -q "^connector_cache_build_info{revision=\"$revision\"," "$work/metrics" || fail "build_info has another revision"
stop
said "it answers from memory in 64 MiB, read-only and without capabilities, and SIGTERM ends it with 0"

# A name that only /etc/hosts knows. The stand-in speaks no TLS: that is the fault, and not the name.
start --add-host graph.example:127.0.0.1 --env CONNECTOR_CACHE__GRAPH__BASE_URL="https://graph.example:$graph"
[ "$(ask tls -H "$token" "$url")" = 502 ] || fail "a Graph without TLS: $(head -1 "$work/tls.head")"
ask metrics "http://127.0.0.1:$admin/metrics" > /dev/null
grep -q '^connector_cache_origin_errors_total{reason="tls"} 1$' "$work/metrics" \
    || fail "not tls but: $(grep 'origin_errors_total{.* [1-9]' "$work/metrics")"
stop
said "names of /etc/hosts resolve, and the roots of trust load"
