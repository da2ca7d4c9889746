"""What the tests share: the two Helms, the chart's shapes, and objects by kind."""

import functools
import json
import pathlib
import shutil
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHART = ROOT / "helm/connector-cache"
TOOLS = ROOT / "target/tools"
BINARY = ROOT / "target/debug/connector-cache"
HELMS = ("helm3", "helm4")
# The oldest that Chart.yaml names, and the newest whose schemas there are.
KUBES = ("1.29.0", "1.37.0")
SHAPES = sorted((CHART / "ci").glob("*-values.yaml"))
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
# Everything that is not Kubernetes' own.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "HTTPRoute"}


NO_PROMETHEUS = "prometheus and promtool are not here: run tools/setup.sh"


def prometheus_tool(name):
    """Where a program of the package prometheus is: under target/, or on the PATH. None where it is not."""
    return shutil.which(name, path=TOOLS / "usr/bin") or shutil.which(name)


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def template(values=(), *, helm="helm4", kube=KUBES[-1], name="rel", space="ns", files=()):
    """`helm template` with these values above those of the files."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as over:
        json.dump(dict(values), over)
        over.flush()
        more = [argument for file in (*files, over.name) for argument in ("--values", file)]
        return run(TOOLS / "bin" / helm, "template", name, CHART, "--namespace", space, "--kube-version", kube, *more)


def render(values=(), **options):
    """The objects that the chart renders."""
    done = template(values, **options)
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


@functools.cache
def shape(file):
    """The objects of one of the chart's shapes."""
    return render(files=[file])


def parse(text):
    return [thing for thing in yaml.load_all(text, Loader=yaml.CSafeLoader) if thing]


def kinds(objects):
    return {thing["kind"] for thing in objects}


def is_hook(thing):
    return "helm.sh/hook" in thing["metadata"].get("annotations", {})


def one(objects, kind, suffix=""):
    """The one object of a kind that is no test, whose name ends so."""
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].endswith(suffix) and not is_hook(o)]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def pod_of(objects):
    return one(objects, "Deployment")["spec"]["template"]


def container_of(objects):
    [container] = pod_of(objects)["spec"]["containers"]
    return container


def config_of(objects):
    [text] = [
        o["data"]["config.toml"] for o in objects if o["kind"] == "ConfigMap" and "config.toml" in (o.get("data") or {})
    ]
    return text


def variables_of(objects):
    return {variable["name"]: variable["value"] for variable in container_of(objects)["env"]}
