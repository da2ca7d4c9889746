#!/usr/bin/env bash
# Tests the chart with real Helm 3 and 4. Installs its tools first (see tools/chart/install-tools.sh); needs python3, node and npm, and
# cargo. Arguments go to unittest: `tools/chart/test.sh test_names`.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
tools/chart/install-tools.sh
# The tests ask this build what it takes and what it counts.
cargo build --quiet --locked
cd tools/chart/tests
export PYTHONDONTWRITEBYTECODE=1
unittest() {
    "$root/target/tools/python/bin/python" -m unittest "$@"
}
if [ $# -gt 0 ]; then
    unittest "$@"
    exit
fi

# The linters take as long as half of the rest: beside it.
said=$(mktemp)
trap 'rm "$said"' EXIT
unittest test_hardening > "$said" 2>&1 &
linters=$!
others=$(find . -name 'test_*.py' ! -name test_hardening.py -printf '%f\n' | sed 's/\.py$//' | sort)
code=0
# shellcheck disable=SC2086 # a word for each module
unittest $others || code=$?
wait "$linters" || code=$?
cat "$said"
exit "$code"
