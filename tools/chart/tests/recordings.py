"""Recorded incidents (tools/monitoring/record.py) as tests for promtool."""

import json
import pathlib
import tempfile

import common

RULES = common.CHART / "files/rules.yaml"
FOLDER = pathlib.Path(__file__).resolve().parent / "incidents"
PROMTOOL = common.prometheus_tool("promtool")
FINITE = "count(({query}) < +Inf and ({query}) > -Inf) > bool 0"
# No interval of an evaluation is longer in practice.
EVALUATION = 30


def names():
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def load(name):
    return common.yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader=common.yaml.CSafeLoader)


def evaluate(name, expressions, rules=RULES):
    """Fails of promtool for a list of (time in seconds, expression, expected samples as labels and value)."""
    recorded = load(name)
    cases = [
        {"expr": expr, "eval_time": f"{at}s", "exp_samples": [{"labels": labels, "value": v} for labels, v in samples]}
        for at, expr, samples in expressions
    ]
    test = {key: recorded[key] for key in ("interval", "input_series")}
    file = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{EVALUATION}s",
        "tests": [{**test, "name": name, "promql_expr_test": cases}],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as text:
        # JSON is YAML.
        json.dump(file, text)
        text.flush()
        done = common.run(PROMTOOL, "test", "rules", text.name)
    return done.stdout + done.stderr if done.returncode else ""


def firing(selector):
    return f'count by (alertname) (ALERTS{{alertstate="firing",{selector}}})'
