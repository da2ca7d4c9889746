#!/usr/bin/env bash
# Tests compose.yaml: against the schema of the Compose specification, by podman-compose, by promtool, and by running its
# commands without containers. Needs python3 with venv, cargo, and the programs that tools/setup.sh unpacks.
# Arguments go to unittest: `tools/compose/test.sh test_file`.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
venv=target/compose
# check-jsonschema carries the schema of the Compose specification and of workflows of GitHub.
packages=(check-jsonschema==0.39.0 podman-compose==1.6.0)
stamp=$venv/stamp-$(sha256sum "$0" | cut -c1-16)
[ -e "$stamp" ] || {
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
    touch "$stamp"
}
cargo build --quiet --locked
export PYTHONDONTWRITEBYTECODE=1 PATH="$root/target/tools/usr/bin:$PATH"
cd tools/compose/tests
if [ $# -gt 0 ]; then
    "$root/$venv/bin/python" -m unittest "$@"
else
    "$root/$venv/bin/python" -m unittest discover --pattern 'test_*.py'
fi
