#!/usr/bin/env python3
"""Writes the chart's README: the text of tools/chart/README.template.md, and a table of the values made of their comments.

With --check it writes nothing, and fails when the README differs. Fails, too, when a value has no comment.
"""

import json
import pathlib
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/connector-cache"
README = CHART / "README.md"
MARK = "# -- "


def comments(text):
    """The comment of each dotted key: the lines from `# -- ` up to the key."""
    found, path, said = {}, [], []
    for line in text.splitlines():
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        if bare.startswith(MARK):
            said = [bare[len(MARK) :]]
        elif bare.startswith("#"):
            if said:
                said.append(bare.lstrip("# "))
        elif bare.startswith("- ") or ":" not in bare:
            said = []
        else:
            path = [(at, key) for at, key in path if at < indent] + [(indent, bare.split(":")[0])]
            if said:
                found[".".join(key for _, key in path)] = " ".join(said)
            said = []
    return found


def rows(values, said, prefix=""):
    """Key, default and comment of each value. A map with a comment of its own is one value."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key in said:
            yield key, value, said[key]
        elif isinstance(value, dict) and value:
            yield from rows(value, said, f"{key}.")
        else:
            sys.exit(f"values.yaml: {key} has no comment; expected a line '{MARK}...' above it")


def table():
    text = (CHART / "values.yaml").read_text()
    lines = ["| value | default | |", "|---|---|---|"]
    for key, value, comment in rows(yaml.safe_load(text), comments(text)):
        default = json.dumps(value, ensure_ascii=False)
        lines.append(f"| `{key}` | `{default}` | {comment} |".replace('| `""` |', "| |"))
    return "\n".join(lines)


def main():
    wanted = (ROOT / "tools/chart/README.template.md").read_text().replace("<!-- values -->", table())
    if "--check" not in sys.argv[1:]:
        README.write_text(wanted)
    elif not README.exists() or README.read_text() != wanted:
        sys.exit("helm/connector-cache/README.md is not what tools/chart/generate_readme.py makes of values.yaml: run that")


if __name__ == "__main__":
    main()
