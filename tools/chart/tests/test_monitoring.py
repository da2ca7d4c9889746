"""Alerts and dashboard ask for metrics that the proxy has, and render whole."""

import json
import re
import subprocess
import tempfile
import unittest

import common
import recordings

RULES = common.CHART / "files/rules.yaml"
DASHBOARD = common.CHART / "files/dashboard.json"
METRIC = r"\b(?:namespace_job_instance:|namespace_job:)?(?:connector_cache_|process_|up\b)[\w:]*"
ANY = 'namespace=~".*",job=~".*"'
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


def scoped(text, namespace, job):
    """The rules as the chart installs them."""
    return text.replace(ANY, f'namespace="{namespace}",job="{job}"')


def groups_of(values, **options):
    """Groups of the PrometheusRule with these values."""
    objects = common.render({"prometheusRule": {"enabled": True, **values}}, **options)
    return common.one(objects, "PrometheusRule")["spec"]["groups"]


def alerts_of(groups):
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def dashboard_of(objects):
    """The ConfigMap, and the dashboard in it."""
    config_map = common.one(objects, "ConfigMap", "-dashboard")
    [(name, text)] = config_map["data"].items()
    assert name.endswith(".json")
    return config_map, json.loads(text)


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

    def test_the_dashboard_is_installed_with_the_links_of_the_values(self):
        original = json.loads(DASHBOARD.read_text())
        config_map, dashboard = dashboard_of(common.shape(EVERYTHING))
        self.assertEqual(config_map["metadata"]["labels"]["grafana_dashboard"], "1")
        links = {link["title"]: link["url"] for link in dashboard["links"]}
        runbook, logs = "https://wiki.example/connector-cache/runbook", "https://logs.example/connector-cache?from=1h"
        self.assertEqual(links, {"Runbook": runbook, "Logs": logs})
        self.assertEqual({**dashboard, "links": original["links"]}, original)
        for helm in common.HELMS:
            _, dashboard = dashboard_of(common.render({"dashboard": {"enabled": True}}, helm=helm))
            self.assertEqual(dashboard["links"], [link for link in original["links"] if link["title"] == "Logs"])

    def test_rules_are_installed_for_the_release_but_for_those_left_out(self):
        groups = common.yaml.safe_load(scoped(RULES.read_text(), "ns", "rel-connector-cache"))["groups"]
        rendered = groups_of({})
        self.assertEqual(rendered, groups)
        every = alerts_of(groups)
        self.assertEqual(alerts_of(groups_of({"disabled": list(every)[:1]})), dict(list(every.items())[1:]))

    def test_every_selector_has_the_namespace_and_the_job_of_the_release(self):
        for text in (RULES.read_text(), json.dumps(groups_of({}))):
            selectors = re.findall(r"(?:connector_cache_\w+|process_\w+|\bup)\s*\{\s*([^}]*)\}", text)
            self.assertGreater(len(selectors), 50)
        for expression in expressions(common.yaml.safe_load(RULES.read_text())):
            bare = re.sub(r"\{[^}]*\}", "{}", expression)
            self.assertEqual(re.findall(METRIC, bare), re.findall(METRIC + r"(?=\{\})", bare), expression)
            for selector in re.findall(r"\{([^}]*)\}", expression):
                self.assertTrue(selector.strip().startswith(ANY), selector)

    def test_the_scrapes_have_the_job_of_the_rules(self):
        for name in ("rel", "connector-cache", "two"):
            both = {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
            objects = common.render(both, name=name)
            spec = common.one(objects, "ServiceMonitor")["spec"]
            self.assertNotIn("jobLabel", spec)
            [relabeling] = [r for r in spec["endpoints"][0]["relabelings"] if r["targetLabel"] == "job"]
            self.assertEqual(relabeling["replacement"], common.one(objects, "Deployment")["metadata"]["name"])
            self.assertIn(f'job="{relabeling["replacement"]}"', str(common.one(objects, "PrometheusRule")))
        self.assertIn('job="other"', str(groups_of({"job": "other"})))

    def test_two_releases_do_not_alert_for_each_other(self):
        """The incident is that of the job connector-cache. The rules of the other release see no own instance."""
        if not recordings.PROMTOOL:
            self.skipTest(common.NO_PROMETHEUS)
        firing = 'group by (alertname, namespace, job) (ALERTS{alertstate="firing",severity="critical"})'
        absent = '{{alertname="ConnectorCacheAbsent",namespace="identity",job="{}"}}'
        fails = '{{alertname="ConnectorCacheFails",namespace="identity",job="{}"}}'
        for job, expected in {"connector-cache": fails, "cache-two": absent}.items():
            objects = common.render({"prometheusRule": {"enabled": True, "job": job}}, space="identity")
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                common.yaml.safe_dump(common.one(objects, "PrometheusRule")["spec"], file)
                cases = [(900, firing, [(expected.format(job), 1)])]
                failures = recordings.evaluate("graph-503", cases, rules=file.name)
            self.assertEqual(failures, "")

    def test_only_alerts_that_there_are_can_be_named(self):
        schema = json.loads((common.CHART / "values.schema.json").read_text())
        alerts = list(alerts_of(common.yaml.safe_load(RULES.read_text())["groups"]))
        self.assertEqual(schema["definitions"]["alertName"]["enum"], alerts)
        settable = schema["properties"]["prometheusRule"]["properties"]["alerts"]["properties"]
        self.assertEqual(list(settable), alerts)
        for values in ({"disabled": ["ConnectorCacheNo"]}, {"alerts": {"ConnectorCacheNo": {"for": "1m"}}}):
            for helm in common.HELMS:
                done = common.template({"prometheusRule": values}, helm=helm)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("prometheusRule", done.stderr)

    def test_every_threshold_of_the_rules_is_a_value_and_has_its_default(self):
        values = common.yaml.safe_load((common.CHART / "values.yaml").read_text())["prometheusRule"]["thresholds"]
        marked = re.findall(r"([0-9.]+) # (\w+)$", RULES.read_text(), re.M)
        self.assertEqual({name: float(number) for number, name in marked}, values)
        for helm in common.HELMS:
            other = {name: value / 2 if isinstance(value, float) else value + 3 for name, value in values.items()}
            text = json.dumps(groups_of({"thresholds": other}, helm=helm))
            found = {name: float(number) for number, name in re.findall(r"([0-9.e-]+) # (\w+)\\n", text)}
            self.assertEqual(found, other)

    def test_a_single_alert_has_the_duration_severity_and_labels_of_its_values(self):
        own = {"for": "7m", "severity": "ticket", "labels": {"team": "identity", "pager": "no"}}
        values = {"alertLabels": {"team": "all", "site": "west"}, "alerts": {"ConnectorCacheFails": own}}
        alerts = alerts_of(groups_of(values))
        rule = alerts["ConnectorCacheFails"]
        labels = {"team": "identity", "pager": "no", "site": "west", "severity": "ticket"}
        self.assertEqual((rule["for"], rule["labels"]), ("7m", labels))
        self.assertEqual(alerts["ConnectorCacheDown"]["labels"], {"team": "all", "site": "west", "severity": "warning"})
        self.assertEqual(alerts["ConnectorCacheDown"]["for"], "5m")

    def test_alerts_link_to_the_runbook_and_the_dashboard_of_the_values(self):
        book, board = "https://wiki.example/connector-cache/runbook", "https://grafana.example/d/connector-cache"
        for link, sign in ((board, "?"), (f"{board}?orgId=2", "&")):
            groups = groups_of({"runbookUrl": book, "dashboardUrl": link})
            for name, rule in alerts_of(groups).items():
                self.assertEqual(rule["annotations"]["runbook_url"], f"{book}#{name.lower()}")
                where = f"{link}{sign}var-namespace=ns&var-job=rel-connector-cache"
                self.assertEqual(rule["annotations"]["dashboard_url"], where)
            for rule in groups[0]["rules"]:
                self.assertEqual("annotations" in rule, "alert" in rule)

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
