#!/usr/bin/env bash
# Compiles the static binary for an architecture of images, on a machine of the same or of the other architecture. The
# Dockerfile runs it; it runs outside of an image as well.
# Usage: tools/image/compile.sh amd64|arm64 PROFILE FILE
# With COUNTS_FOLDER the binary counts how often its code runs, and writes the counts there at its end (benches/profile).
set -euo pipefail
cd "$(dirname "$0")/../.."
architecture=${1:?expected amd64 or arm64}
profile=${2:?expected a profile of cargo}
file=${3:?expected the path of the binary}

# Names of the processor: in targets of Rust and programs of GCC, and in Debian's packages of GCC.
case $architecture in
    amd64) processor=x86_64 package=x86-64 ;;
    arm64) processor=aarch64 package=aarch64 ;;
    *) echo "$0: $architecture is neither amd64 nor arm64" >&2; exit 1 ;;
esac
target=$processor-unknown-linux-gnu
compiler=$processor-linux-gnu-gcc

if [ "$target" != "$(rustc --print host-tuple)" ]; then
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target"
    command -v "$compiler" > /dev/null || {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            "gcc-$package-linux-gnu" "libc6-dev-$architecture-cross"
    }
    name=${target//-/_}
    export "CARGO_TARGET_${name^^}_LINKER=$compiler"
fi

# Static glibc resolves names by its own files and DNS; nothing is loaded at run time. With --target, build scripts and
# procedural macros are compiled without these flags.
export RUSTFLAGS="-C target-feature=+crt-static"

# Profile-guided optimisation: `make profile` counts how often the code of a request runs, and the compiler places and
# inlines accordingly. Functions that have changed since then are compiled without counts.
counts=tools/image/$architecture.profdata.gz
if [ -n "${COUNTS_FOLDER:-}" ]; then
    RUSTFLAGS+=" -C profile-generate=$COUNTS_FOLDER"
elif [ "$profile" = dist ] && [ -f "$counts" ]; then
    # The name of each function contains a hash of its crate, of the dependencies of the crate, and of the compiler.
    [ "$(rustc --version; sha256sum < Cargo.lock)" = "$(cat "tools/image/$architecture.made-by")" ] ||
        echo "$0: $counts was recorded with another compiler or another Cargo.lock, so this binary is slower;" \
            "\`make profile\` records it again" >&2
    # cargo compiles again if a flag changes, not if the file does: the name has the hash of the file.
    copy=$PWD/target/counts/$(sha256sum "$counts" | cut -c1-16).profdata
    mkdir -p target/counts
    # Left alone if it is there: the compiler works again after each change of its time.
    [ -f "$copy" ] || { gunzip --stdout "$counts" > "$copy.new" && mv "$copy.new" "$copy"; }
    # Code that never ran goes out of the way of the rest: a part of a function that is rarely used moves elsewhere.
    RUSTFLAGS+=" -C profile-use=$copy -C llvm-args=-enable-split-machine-functions"
fi
cargo build --profile "$profile" --locked --bin connector-cache --target "$target"
[ "$profile" = dev ] && folder=debug || folder=$profile
install -D -m 0555 "${CARGO_TARGET_DIR:-target}/$target/$folder/connector-cache" "$file"
