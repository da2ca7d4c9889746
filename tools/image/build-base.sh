#!/usr/bin/env bash
# Makes the base image that the Dockerfile names, from Debian's archive and the Rust toolchain of this machine,
# for where no registry can be reached. It has the name of the real one. Made once; remove it to renew it:
# buildah rmi NAME.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tools/image/storage.sh"

name=$(sed -n 's/^FROM --platform=[^ ]* \(rust:[^ ]*\) AS build$/\1/p' "$root/Dockerfile")
[ -n "$name" ] || { echo "$0: the Dockerfile has no line FROM rust:... AS build" >&2; exit 1; }
if buildah images -q "$name" > /dev/null 2>&1; then
    exit 0
fi
wanted=${name#rust:}
wanted=${wanted%%-*}
toolchain=$(rustc --print sysroot)
found=$("$toolchain/bin/rustc" --version | cut -d' ' -f2)
case $found in
    "$wanted" | "$wanted".*) ;;
    *) echo "$0: $name needs Rust $wanted; this machine has $found" >&2; exit 1 ;;
esac

echo "making $name from Debian's archive and Rust $found"
debian=$image/debian.tar
mmdebstrap --quiet --variant=minbase --include=ca-certificates,gcc,libc6-dev bookworm "$debian"
container=$(buildah from scratch)
buildah add -q "$container" "$debian" / > /dev/null
for part in bin lib libexec; do
    buildah add -q "$container" "$toolchain/$part" "/usr/local/$part" > /dev/null
done
# Cargo inside trusts whom this machine trusts; the roots that go into the image stay Debian's.
buildah add -q "$container" /etc/ssl/certs/ca-certificates.crt /usr/local/share/build-roots.crt > /dev/null
buildah config --env CARGO_HOME=/usr/local/cargo --env CARGO_HTTP_CAINFO=/usr/local/share/build-roots.crt \
    --env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit -q "$container" "$name" > /dev/null
buildah rm "$container" > /dev/null
rm "$debian"
