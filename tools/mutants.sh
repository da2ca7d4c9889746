#!/usr/bin/env bash
# Plants faults into the code that holds the promises, one at a time, and runs the tests. Prints the faults that no test
# notices; tests/mutants.md gives the reasons. Two kinds of faults:
# - The patches of tests/model/mutations: each breaks a promise on purpose, and the model must notice it. Under an hour.
# - Those of cargo-mutants. The tests beside the code, which take a second, see each fault first; what these miss, the
#   quick integration tests. One build per fault: auth, resource, scrub and proxy.rs take hours, the machines a day.
#
#   MUTANTS_SET   "patches"; "auth", "resource", "scrub": the rules; "decision": proxy.rs; "machines": store, requests to
#                 Graph, coalescing, limits, breakers. Several are separated by spaces. Default: all
#   MUTANTS_ONLY  a regular expression for the names of patches and mutants
#   MUTANTS_OUT   folder of the reports (target/mutants); a second run of cargo-mutants continues the first
#   MUTANTS_SHARD one part of the mutants of cargo-mutants, as in 0/4; each part needs its own MUTANTS_OUT
set -euf -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(realpath -m "${MUTANTS_OUT:-target/mutants}")
# Fewer cases of each property, no shrinking, no saved cases, a model that is the same each time, and no debug
# information. The target directory outlives a run, so that dependencies are built once.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$out/target PROPTEST_CASES=32 MODEL_REQUESTS=4000 MODEL_SEED=100
export PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1

# Copies the tree, with changes that are not committed. A copy with some rooms of the library builds in a second.
copy() { # name of the copy, regular expression for the rooms
    rm -rf "${out:?}/$1"
    mkdir -p "$out/$1"
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$out/$1"
    sed -E -i -e '/^#\[cfg\(feature/d' -e "/^(pub )?mod/{/ ($2);/!d}" "$out/$1/src/lib.rs"
}

patches() {
    command -v patch >/dev/null || { echo "patch is missing. Debian: apt-get install patch" >&2; exit 1; }
    copy patched '.*'
    # Redis, for the model of replicas that share a store.
    mkdir -p "$out/patched/target"
    [ ! -d target/tools ] || ln -s "$PWD/target/tools" "$out/patched/target/tools"
    local tree=$out/patched report=$out/patches.txt name result missed=0
    local test=(cargo test --quiet --locked --manifest-path "$tree/Cargo.toml" --test model)
    local check=(mutation_checks::the_applied_fault_is_noticed --exact --nocapture)
    : >"$report"
    # Without a fault the same check must say so.
    if MUTATION=no-hits "${test[@]}" -- "${check[@]}" >"$out/patches.log" 2>&1 || ! grep -q 'went unnoticed' "$out/patches.log"; then
        echo "the model fails without a fault, or does not build: $out/patches.log" >&2
        exit 1
    fi
    while read -r name; do
        [[ $name =~ ${MUTANTS_ONLY:-.} ]] || continue
        patch --directory "$tree" --strip 1 --fuzz 0 --silent <"tests/model/mutations/$name.patch"
        if "${test[@]}" --no-run >"$out/patches.log" 2>&1; then
            if MUTATION=$name timeout 300 "${test[@]}" -- "${check[@]}" >"$out/patches.log" 2>&1; then
                result=$(sed -n 's/^noticed: //p' "$out/patches.log" | cut -c 1-120)
            else
                result="UNNOTICED: $(grep -m 1 -E 'unnoticed|noticed, but' "$out/patches.log" | cut -c 1-120 || true)"
                missed=$((missed + 1))
            fi
        else
            result="DOES NOT BUILD: $(grep -m 1 '^error' "$out/patches.log" || true)"
            missed=$((missed + 1))
        fi
        printf '%-34s %s\n' "$name" "$result" | tee -a "$report"
        patch --directory "$tree" --strip 1 --fuzz 0 --silent --reverse <"tests/model/mutations/$name.patch"
    done < <(find tests/model/mutations -name '*.patch' -printf '%f\n' | sed 's/\.patch$//' | sort)
    printf 'patches: %s of %s unnoticed\n' "$missed" "$(wc -l <"$report")"
    [ "$missed" = 0 ]
}

plant() { # set, copy, test tool, further arguments
    local chosen=() set=$1 tree=$2 tool=$3 status=0
    shift 3
    case $set in
    decision) chosen+=(-f src/proxy.rs) ;;
    machines)
        for part in proxy/fetch proxy/coalesced; do chosen+=(-f "src/$part.rs" -f "src/$part/**"); done
        chosen+=(-f crates/support/src/detach_on_drop.rs)
        for part in permits fair_queue unproven_limit unauthorized_tokens breaker; do
            chosen+=(-f "src/upstream/$part.rs" -f "src/upstream/$part/**")
        done
        for part in entry coalesce freshness thread_cache grants interner key store lease conditional variants vary; do
            chosen+=(-f "src/cache/$part.rs" -f "src/cache/$part/**")
        done
        ;;
    scrub) chosen+=(-f "crates/scrub/src/**") ;;
    *) chosen+=(-f "src/$set.rs" -f "src/$set/**") ;;
    esac
    [ -z "${MUTANTS_ONLY:-}" ] || chosen+=(--re "$MUTANTS_ONLY")
    [ -z "${MUTANTS_SHARD:-}" ] || chosen+=(--shard "$MUTANTS_SHARD")
    # In place, so that builds are incremental.
    cargo mutants --dir "$out/$tree" --in-place --test-tool "$tool" --baseline skip --timeout 60 --no-shuffle \
        --colors never --iterate --output "$out/$set" "${chosen[@]}" "$@" || status=$?
    # 2: some went unnoticed; 3: some hung, which counts as noticed.
    [ $status = 0 ] || [ $status = 2 ] || [ $status = 3 ]
}

# The tests beside the code, in a copy with few rooms where that builds, and otherwise in the whole tree.
beside() { # set, regular expression for the rooms
    copy part "$2"
    if cargo check --quiet --manifest-path "$out/part/Cargo.toml" --lib --profile test 2>/dev/null; then
        plant "$1" part cargo -C=--lib -- -- "$1::"
    else
        plant "$1" whole cargo -C=--lib -- -- "$1::"
    fi
}

for set in ${MUTANTS_SET:-patches auth resource scrub decision machines}; do
    if [ "$set" = patches ]; then
        patches
        continue
    fi
    command -v cargo-mutants >/dev/null || cargo install -j1 --locked cargo-mutants
    command -v cargo-nextest >/dev/null || cargo install -j1 --locked cargo-nextest
    [ -d "$out/whole" ] || copy whole '.*'
    mkdir -p "$out/$set"
    case $set in
    auth | resource) beside "$set" "$set" ;;
    scrub) plant "$set" whole cargo -C=--package=connector-cache-scrub ;;
    decision) ;; # No test is beside it: its behaviour is visible from outside only.
    machines) plant "$set" whole cargo -C=--lib -- -- cache:: upstream:: proxy:: support:: ;;
    esac
    plant "$set" whole nextest -C=--test={end_to_end,threats,invalidation_races,untrusted_tokens,conformance,model} \
        -- --fail-fast -E 'not test(/mutation_checks/)'
    echo "$set: unnoticed:"
    cat "$out/$set/mutants.out/missed.txt"
done
