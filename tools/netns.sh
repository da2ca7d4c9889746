#!/usr/bin/env bash
# Faults that only a kernel can make: two network namespaces of our own, a wire between them, and a firewall and a
# shaper on it. The proxy runs in the near one, the stand-in for Graph in the far one. Nothing outside is touched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() {
    echo "skipped: $1"
    exit 0
}

[ "$(id -u)" = 0 ] || skip "network namespaces, iptables and tc need root. Run: sudo -E make test-net"

# Debian's packages, by the command that each brings.
for need in ip:iproute2 tc:iproute2 iptables:iptables; do
    command -v "${need%%:*}" >/dev/null && continue
    echo "installing: ${need##*:}"
    apt-get install -y -qq --no-install-recommends "${need##*:}" >/dev/null ||
        { echo "missing: ${need%%:*}. Debian: apt-get install ${need##*:}" >&2; exit 1; }
done

near=cc-near-$$
far=cc-far-$$
clear() {
    # Deleting a namespace takes its end of the wire with it.
    ip netns del "$near" 2>/dev/null || true
    ip netns del "$far" 2>/dev/null || true
}
trap clear EXIT
ip netns add "$near" 2>/dev/null || skip "this root may not make network namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)"
ip netns add "$far"
ip -n "$near" link add wire type veth peer name wire netns "$far" 2>/dev/null ||
    skip "this root may not make network interfaces (CAP_NET_ADMIN)"
ip netns exec "$far" iptables -w -L -n >/dev/null 2>&1 || skip "this root may not set up a firewall (CAP_NET_ADMIN)"
for end in "$near:10.99.0.1" "$far:10.99.0.2"; do
    ip -n "${end%%:*}" address add "${end##*:}/24" dev wire
    ip -n "${end%%:*}" link set wire up
    ip -n "${end%%:*}" link set lo up
done

# The namespaces have no way to a registry: what is needed is built before.
cargo test --quiet --locked --features test-net --test netns --test reported --no-run
# Needs a mount namespace of its own for each name, and no wire.
cargo test --locked --offline --features test-net --test reported d1_
# Rules are for the whole namespace, so one test at a time.
ip netns exec "$near" env NET_NEAR="$near" NET_FAR="$far" \
    cargo test --locked --offline --features test-net --test netns -- --test-threads 1 "$@"
