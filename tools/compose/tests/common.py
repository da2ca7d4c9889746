"""The compose file, and what its tests share."""

import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILE = ROOT / "compose.yaml"
FOLDER = ROOT / "tools/compose"
PROJECT = yaml.safe_load(FILE.read_text())
SERVICES = PROJECT["services"]
# The virtual environment that runs the tests.
TOOLS = pathlib.Path(sys.executable).parent


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def validate(schema, file):
    """Checks a file against one of the schemas that check-jsonschema carries."""
    return run(TOOLS / "check-jsonschema", "--builtin-schema", schema, file)


def mounts(service):
    """Sources of the service's bind mounts by their places in the container. A named volume is none."""
    parts = (mount.split(":") for mount in SERVICES[service].get("volumes", []))
    return {place: ROOT / source for source, place, *_ in parts if source.startswith("./")}


def provision(name):
    return yaml.safe_load((FOLDER / name).read_text())
