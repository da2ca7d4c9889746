"""Alerts and dashboard ask for metrics that the proxy has, and render whole."""

import json
import re
import subprocess
import unittest

import common

RULES = common.CHART / "files/rules.yaml"
DASHBOARD = common.CHART / "files/dashboard.json"
EVERYTHING = common.CHART / "ci/everything-values.yaml"


def metrics_of_a_proxy():
    """The exposition of the demo."""
    with subprocess.Popen([common.BINARY, "demo"], stdout=subprocess.PIPE, text=True) as demo:
        try:
            url = next(line for line in demo.stdout if line.endswith("/metrics\n")).split()[-1]
            return retry(url)
        finally:
            demo.kill()


def retry(url):
    done = common.run("curl", "-sS", "--fail", "--retry", "20", "--retry-all-errors", "--max-time", "5", url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expressions(thing):
    """All texts that are named `expr` or `query` in a tree."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key in ("expr", "query", "definition") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from expressions(value)


def panels(thing):
    for panel in thing.get("panels", []):
        yield panel
        yield from panels(panel)


class Monitoring(unittest.TestCase):
    def test_every_metric_that_is_asked_for_exists(self):
        text = metrics_of_a_proxy()
        known = set(re.findall(r"^(\w+)", text, re.M)) | set(re.findall(r"^# TYPE (\w+)", text, re.M))
        files = [common.yaml.safe_load(RULES.read_text()), json.loads(DASHBOARD.read_text())]
        texts = [text for file in files for text in expressions(file)]
        asked = {name for text in texts for name in re.findall(r"[\w:]*connector_cache_[\w:]+", text)}
        # It is there only where callers speak TLS, which the demo's do not.
        known.add("connector_cache_certificate_not_after_timestamp_seconds")
        recorded = {rule["record"] for group in files[0]["groups"] for rule in group["rules"] if "record" in rule}
        self.assertTrue(asked)
        self.assertEqual(asked - known - recorded, set())

    def test_the_dashboard_is_installed_as_it_is_with_unique_panels(self):
        config_map = common.one(common.shape(EVERYTHING), "ConfigMap", "-dashboard")
        [(name, text)] = config_map["data"].items()
        self.assertTrue(name.endswith(".json"))
        dashboard = json.loads(text)
        self.assertEqual(dashboard, json.loads(DASHBOARD.read_text()))
        ids = [panel["id"] for panel in panels(dashboard)]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(config_map["metadata"]["labels"]["grafana_dashboard"], "1")

    def test_rules_are_installed_as_they_are_but_for_those_left_out(self):
        groups = common.yaml.safe_load(RULES.read_text())["groups"]
        rendered = common.one(common.render({"prometheusRule": {"enabled": True}}), "PrometheusRule")["spec"]["groups"]
        self.assertEqual(rendered, groups)
        alerts = lambda groups: [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
        every = alerts(groups)
        left = {"prometheusRule": {"enabled": True, "disabled": every[:1]}}
        self.assertEqual(alerts(common.one(common.render(left), "PrometheusRule")["spec"]["groups"]), every[1:])

    def test_only_alerts_that_there_are_can_be_left_out(self):
        schema = json.loads((common.CHART / "values.schema.json").read_text())["properties"]["prometheusRule"]
        groups = common.yaml.safe_load(RULES.read_text())["groups"]
        alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
        self.assertEqual(schema["properties"]["disabled"]["items"]["enum"], alerts)

    def test_alerts_lead_to_a_copy_of_the_runbook_where_one_is_named(self):
        book = "https://wiki.example/connector-cache/runbook"
        values = {"prometheusRule": {"enabled": True, "runbookUrl": book}}
        for group in common.one(common.render(values), "PrometheusRule")["spec"]["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    self.assertEqual(rule["annotations"]["runbook_url"], f"{book}#{rule['alert'].lower()}")
                else:
                    self.assertNotIn("annotations", rule)

    def test_every_alert_says_how_bad_it_is_and_what_it_means(self):
        for group in common.yaml.safe_load(RULES.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    self.assertIn(rule["labels"]["severity"], {"critical", "warning", "info"}, rule["alert"])
                    self.assertLessEqual({"summary", "description"}, set(rule["annotations"]), rule["alert"])

    def test_the_monitor_selects_the_admin_service_alone(self):
        objects = common.shape(EVERYTHING)
        selector = common.one(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
        services = [o for o in objects if o["kind"] == "Service" and selector <= o["metadata"]["labels"].items()]
        self.assertEqual([s["metadata"]["name"] for s in services], ["rel-cache-admin"])
        ports = {port["name"] for port in services[0]["spec"]["ports"]}
        self.assertIn(common.one(objects, "ServiceMonitor")["spec"]["endpoints"][0]["port"], ports)


if __name__ == "__main__":
    unittest.main()
