#!/usr/bin/env bash
# Plants faults into the code that holds the promises, one at a time, and runs the tests: cargo-mutants.
# Each fault is shown to the tests beside the code, which take a second; what those miss, to the quick tests of the
# whole. Prints what nobody noticed; tests/mutants.md says why that is so. A build a fault: the rules and the decision
# take less than an hour of one core, the machines hours.
#   MUTANTS_SET   "identity", "resource", "scrub": the rules; "decision": proxy.rs; "machines": questions, store,
#                 flights, purse, gates; all
#   MUTANTS_OUT   where the reports go (target/mutants); a second run goes on where the first stopped
#   MUTANTS_ONLY  a pattern that a mutant's name must match
#   MUTANTS_SHARD one part of the faults, as in 0/4; each part wants a MUTANTS_OUT of its own
set -euf -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(realpath -m "${MUTANTS_OUT:-target/mutants}")
# Fewer cases of each property, none made smaller or kept, a model that is the same each time, and nothing that a
# debugger would want. What is built of other crates outlives a run.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$out/target PROPTEST_CASES=32 MODEL_REQUESTS=4000 MODEL_SEED=100
export PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1

command -v cargo-mutants >/dev/null || cargo install -j1 --locked cargo-mutants
command -v cargo-nextest >/dev/null || cargo install -j1 --locked cargo-nextest

# What is there in test builds only, to break a promise on purpose, is not mutated: see src/sabotage.rs.
sabotage='without_expand|proof_where|of_principal|stand_in|hold_open|drop_claimed|keep_no|unscrubbed'
# What the rules need beside themselves.
words='cache|sabotage|status|words'
heads="answer|clock|date|dial|error|headers|ids|message|quality|byte_budget|$words"

# Copies the tree. The library is its own dev-dependency, for the feature `sabotage`; in a copy it is asked for that
# feature instead, so that a fault is compiled once and not twice. Of a copy with a part of the library a build takes a
# second.
copy() { # where to, and a pattern for the modules that are wanted
    rm -rf "${out:?}/$1"
    mkdir -p "$out/$1"
    git ls-files -z | xargs -0 cp --parents -t "$out/$1"
    cd "$out/$1"
    sed -i '/^connector-cache = { path = "." /d' Cargo.toml
    sed -E -i -e '/^#\[cfg\(feature/d' -e "/^(pub )?mod/{/ ($2);/!d}" src/{lib,cache}.rs
    cd "$OLDPWD"
}

plant() { # SET, the tree, the tool, further arguments
    local chosen=() set=$1 tree=$2 tool=$3 status=0
    shift 3
    case $set in
    decision) chosen+=(-f src/proxy.rs) ;;
    machines)
        for part in fetch permits fair_queue unproven_limit survivor breaker; do chosen+=(-f "src/$part.rs" -f "src/$part/**"); done
        for part in entry flight freshness front grant interner key store ticket validation variants vary; do
            chosen+=(-f "src/cache/$part.rs" -f "src/cache/$part/**")
        done
        ;;
    *) chosen+=(-f "src/$set.rs" -f "src/$set/**") ;;
    esac
    [ -z "${MUTANTS_ONLY:-}" ] || chosen+=(--re "$MUTANTS_ONLY")
    [ -z "${MUTANTS_SHARD:-}" ] || chosen+=(--shard "$MUTANTS_SHARD")
    # Planted where the code lies, so that the compiler goes on from what it knows.
    cargo mutants --dir "$out/$tree" --in-place --test-tool "$tool" --baseline skip --timeout 60 --no-shuffle \
        --colors never --iterate --output "$out/$set" "${chosen[@]}" --exclude-re "$sabotage" --features sabotage \
        "$@" || status=$?
    # 2: some went unnoticed; 3: some hung, and were noticed by that.
    [ $status = 0 ] || [ $status = 2 ] || [ $status = 3 ]
}

copy whole '.*'
for set in ${MUTANTS_SET:-identity resource scrub decision machines}; do
    mkdir -p "$out/$set"
    case $set in
    identity | resource)
        copy part "$set|$heads"
        plant "$set" part cargo -C=--lib -- -- "$set::"
        ;;
    scrub)
        copy part "$set|$words"
        plant "$set" part cargo -C=--lib -- -- "$set::"
        ;;
    decision) ;; # No test is beside it: what it does is seen from outside.
    machines) plant "$set" whole cargo -C=--lib -- -- cache:: permits:: fair_queue:: unproven_limit:: survivor:: breaker:: fetch:: ;;
    esac
    plant "$set" whole nextest -C=--test={end_to_end,threats,invalidation_races,untrusted_tokens,conformance,model} \
        -- --fail-fast -E 'not test(/mutation_checks/)'
    echo "$set: unnoticed:"
    cat "$out/$set/mutants.out/missed.txt"
done
