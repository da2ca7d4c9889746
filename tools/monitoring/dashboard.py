"""The chart's dashboard: its panels, and its expressions as Grafana would send them."""

import json
import pathlib
import re

FILE = pathlib.Path(__file__).resolve().parents[2] / "helm/connector-cache/files/dashboard.json"


def load():
    return json.loads(FILE.read_text())


def panels(dashboard):
    """Every panel but the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panels({"panels": panel.get("panels", [])})


def variables(dashboard):
    """Name, metric and label of each variable that is asked for."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            form = r"label_values\((.*), (\w+)\)"
            metric, label = re.fullmatch(form, variable["definition"]).groups()
            yield variable["name"], metric, label


def filled(expression, seconds, values=None):
    """With Grafana's variables replaced, for a range of so many seconds with a sample in each."""
    known = {"__rate_interval": "5s", "__interval": "1s", "__range": f"{seconds}s", **(values or {})}
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ".*"), expression)
