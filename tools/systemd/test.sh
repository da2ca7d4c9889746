#!/usr/bin/env bash
# Tests the systemd unit: by systemd-analyze, by the system calls that the proxy makes, and as root by a systemd of its own that
# runs the unit. Needs python3 and cargo.
# Without systemd-analyze (Debian: systemd) or strace the tests that need them say so and pass.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --quiet --locked
export PYTHONDONTWRITEBYTECODE=1
cd tools/systemd/tests
python3 -m unittest "${@:-discover}"
