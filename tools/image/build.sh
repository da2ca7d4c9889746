#!/usr/bin/env bash
# Builds the image without any registry, and tries it. The image stays in target/image; `docker build .` makes
# the same one where the base image can be pulled.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tools/image/storage.sh"
cd "$root"

packages="buildah podman runc catatonit mmdebstrap"
missing=""
for tool in buildah podman runc mmdebstrap; do
    command -v "$tool" > /dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "missing:$missing. Debian and Ubuntu: apt-get install --no-install-recommends $packages" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "the base image can be made by root only: sudo $0" >&2
    exit 1
fi

tools/image/build-base.sh
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
revision=$(git rev-parse HEAD)
# One commit, one image: the time in it is the commit's.
buildah bud --layers --pull-never --format docker --tag "connector-cache:$version" --tag connector-cache:latest \
    --timestamp "$(git log -1 --format=%ct)" --build-arg VERSION="$version" --build-arg REVISION="$revision" .
tools/image/try.sh "connector-cache:$version"
