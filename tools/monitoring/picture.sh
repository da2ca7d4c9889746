#!/usr/bin/env bash
# Draws docs/dashboard.png: what the dashboard shows of the demo and two proxies that share a store after a minute of callers.
# Needs python3 with venv, openssl, prometheus (tools/setup.sh unpacks it) and target/debug/connector-cache.
# Takes the number of seconds as an argument.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/picture
matplotlib=matplotlib==3.11.2
export PYTHONDONTWRITEBYTECODE=1 PATH="$PWD/target/tools/usr/bin:$PATH"

command -v prometheus >/dev/null || {
    echo "picture: prometheus is not here: run tools/setup.sh" >&2
    exit 1
}
[ -x target/debug/connector-cache ] || cargo build --locked
[ -e "$venv/$matplotlib" ] || {
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$matplotlib"
    touch "$venv/$matplotlib"
}
"$venv/bin/python" tools/monitoring/draw.py docs/dashboard.png "${1:-60}"
