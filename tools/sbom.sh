#!/usr/bin/env bash
# Writes the software bill of materials of the binary, CycloneDX 1.5 in JSON, for each architecture of the image:
# target/sbom/connector-cache-amd64.cdx.json and target/sbom/connector-cache-arm64.cdx.json. The time in them is that of the commit.
# Uses cargo-cyclonedx where it is installed, or installs it under target/. The result is validated by the schema of the
# package cyclonedx-python-lib.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.5.9
validator='cyclonedx-python-lib[json-validation]==11.12.0'
root=$PWD
tools=$root/target/sbom-tools
out=$root/target/sbom
export PATH="$tools/bin:$PATH"

command -v cargo-cyclonedx > /dev/null || {
    echo "installing: cargo-cyclonedx (some minutes)"
    cargo install --quiet --locked cargo-cyclonedx --version $version --root "$tools"
}
stamp=$tools/python/stamp-$(sha256sum "$0" | cut -c1-16)
[ -e "$stamp" ] || {
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$validator"
    touch "$stamp"
}

# cargo-cyclonedx writes beside each Cargo.toml of the workspace, so it works on a copy.
copy=$(mktemp -d)
trap 'rm -r "$copy"' EXIT
git ls-files -z -- Cargo.toml Cargo.lock src crates benches fuzz tools/revision.rs | xargs -0 cp --parents --target-directory "$copy"
mkdir -p "$out"
for pair in amd64:x86_64 arm64:aarch64; do
    (cd "$copy" && SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct) cargo cyclonedx --quiet --format json \
        --spec-version 1.5 --describe binaries --no-build-deps --target "${pair#*:}-unknown-linux-gnu")
    # References name the copy; any other place serves as well.
    sed "s#path+file://$copy#path+file:///src#g" "$copy/connector-cache_bin.cdx.json" > "$out/connector-cache-${pair%:*}.cdx.json"
done

"$tools/python/bin/python" - "$out"/*.cdx.json <<'END'
import json, pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for file in map(pathlib.Path, sys.argv[1:]):
    text = file.read_text()
    if error := JsonStrictValidator(SchemaVersion.V1_5).validate_str(text):
        sys.exit(f"sbom: {file} does not follow CycloneDX 1.5: {error}")
    components = json.loads(text)["components"]
    own = [one for one in components if one["name"].startswith("connector-cache-")]
    bare = [one["name"] for one in components if one not in own and not (one.get("hashes") and one.get("licenses"))]
    if bare:
        sys.exit(f"sbom: {file} has components without checksum or licence: {bare}")
    print(f"{file}: {len(components)} components")
END
