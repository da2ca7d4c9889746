#!/bin/sh
# Builds every fuzz target and runs each for FUZZ_SECONDS. Fails where one crashes.
#   FUZZ_SECONDS    seconds for each target (60)
#   FUZZ_TARGETS    which (all)
#   FUZZ_SANITIZER  "none" is quick and enough for code without unsafe; "address" looks into the dependencies
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
sanitizer=${FUZZ_SANITIZER:-none}

command -v cargo-fuzz >/dev/null || cargo install -j1 --locked cargo-fuzz
# libFuzzer's flags are not stable yet; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1
# The workspace's release profile is for the binary. Here a build should be quick, and a crash have a place.
export CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only

targets=${FUZZ_TARGETS:-$(cargo fuzz list)}
cargo fuzz build -s "$sanitizer"
failed=
for target in $targets; do
    log=target/fuzz/$target.log
    # What is found goes there; the corpus in the repository is only read.
    found=target/fuzz/corpus/$target
    mkdir -p "$found"
    set -- -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
    if [ -f "fuzz/dictionaries/$target.dict" ]; then
        set -- "$@" -dict="fuzz/dictionaries/$target.dict"
    fi
    if cargo fuzz run -s "$sanitizer" "$target" "$found" "fuzz/corpus/$target" -- "$@" >"$log" 2>&1; then
        result=ok
    else
        result=CRASHED
        failed="$failed $target"
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    printf '%-14s %-8s %12s executions in %s s\n' "$target" "$result" "${runs:-?}" "$seconds"
done
for target in $failed; do
    echo "--- $target" >&2
    tail -n 40 "target/fuzz/$target.log" >&2
done
[ -z "$failed" ]
