"""The dashboard is one that Grafana takes, and a real Prometheus has something to say to each of its panels."""

import copy
import itertools
import json
import math
import re
import sys
import time
import unittest

import common
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

sys.path.insert(0, str(common.ROOT / "tools/monitoring"))

import dashboard  # noqa: E402
import load  # noqa: E402
import testbed  # noqa: E402

PROMETHEUS = common.prometheus_tool("prometheus")
SECONDS = 15
# Units of Grafana that the panels use.
UNITS = {"percentunit", "reqps", "ops", "s", "d", "short", "bytes"}
COLUMNS = 24


class Form(unittest.TestCase):
    def setUp(self):
        self.dashboard = dashboard.load()
        self.panels = list(dashboard.panels(self.dashboard))

    def test_grafana_knows_every_member(self):
        plugins.register_default_plugins()
        known = json.loads(JSONEncoder().encode(Dashboard.from_json(copy.deepcopy(self.dashboard))))
        # Grafana's editor writes it beside the query, and its schema has left it out.
        for variable in self.dashboard["templating"]["list"]:
            variable.pop("definition", None)
        # Members that the data source Prometheus adds to an annotation.
        for annotation in self.dashboard["annotations"]["list"]:
            for name in ("step", "titleFormat", "textFormat"):
                annotation.pop(name)
        self.assertEqual(list(lost(self.dashboard, known)), [])

    def test_no_two_panels_have_one_id_or_one_place(self):
        every = self.dashboard["panels"]
        self.assertEqual(len({panel["id"] for panel in every}), len(every))
        for one, other in itertools.combinations(every, 2):
            self.assertFalse(overlap(one["gridPos"], other["gridPos"]), f"{one['title']}, {other['title']}")
        for panel in every:
            self.assertLessEqual(panel["gridPos"]["x"] + panel["gridPos"]["w"], COLUMNS, panel["title"])

    def test_every_panel_has_a_title_a_description_and_a_unit(self):
        for panel in self.panels:
            self.assertTrue(panel["title"] and panel["description"], panel["id"])
            self.assertIn(panel["fieldConfig"]["defaults"]["unit"], UNITS, panel["title"])

    def test_every_question_goes_to_the_chosen_source_for_the_chosen_instances(self):
        for panel in self.panels:
            references = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(references), len(set(references)), panel["title"])
            for thing in (panel, *panel["targets"]):
                self.assertEqual(thing["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])
            for target in panel["targets"]:
                selectors = re.findall(r"\{.*?\}", target["expr"])
                self.assertTrue(selectors, target["expr"])
                for selector in selectors:
                    for name in ("namespace", "job", "instance"):
                        # Some alerts have no instance.
                        self.assertRegex(selector, rf'{name}=~"\${name}\|?"', panel["title"])

    def test_the_first_row_answers_whether_callers_are_served(self):
        top = min(panel["gridPos"]["y"] for panel in self.panels)
        first = [panel["title"] for panel in self.panels if panel["gridPos"]["y"] == top]
        self.assertEqual(first[:4], ["Requests", "Success rate", "Open connections", "Firing alerts"])

    def test_errors_of_callers_and_failures_have_panels_of_their_own(self):
        shown = lambda panel: " ".join(target["expr"] for target in panel["targets"])
        series = [panel for panel in self.panels if panel["type"] == "timeseries"]
        [fourth] = [panel for panel in series if 'status=~"4' in shown(panel)]
        [fifth] = [panel for panel in series if 'status=~"5' in shown(panel) and "cache" in shown(panel)]
        self.assertNotEqual(fourth["id"], fifth["id"])

    def test_the_dashboard_links_to_the_runbook_and_to_the_logs(self):
        self.assertEqual([link["title"] for link in self.dashboard["links"]], ["Runbook", "Logs"])
        variables = {variable["name"] for variable in self.dashboard["templating"]["list"]}
        for link in self.dashboard["links"]:
            used = {name for name in re.findall(r"\$\{(\w+)", link["url"]) if not name.startswith("__")}
            self.assertLessEqual(used, variables)

    def test_every_metric_has_a_panel(self):
        row = r"^\| `connector_cache_([a-z_]+)` \| (?:counter|gauge|histogram) \|"
        metrics = re.findall(row, (common.ROOT / "docs/metrics.md").read_text(), re.M)
        self.assertGreater(len(metrics), 20)
        asked = " ".join(target["expr"] for panel in self.panels for target in panel["targets"])
        self.assertEqual([name for name in metrics if f"connector_cache_{name}" not in asked], [])


@unittest.skipUnless(PROMETHEUS, common.NO_PROMETHEUS)
class Live(unittest.TestCase):
    """Seen through a real Prometheus, after some seconds of callers."""

    @classmethod
    def setUpClass(cls):
        cls.source = cls.enterClassContext(load.under_load(PROMETHEUS, SECONDS))

    def test_every_panel_shows_a_number(self):
        for panel in dashboard.panels(dashboard.load()):
            for target in panel["targets"]:
                with self.subTest(panel=panel["title"], target=target["refId"]):
                    expression = dashboard.filled(target["expr"], SECONDS)
                    self.assertTrue(self.has_a_number(expression), expression)

    def has_a_number(self, expression):
        """The callers go on; on a busy machine some things take longer to happen."""
        deadline = time.monotonic() + testbed.DEADLINE
        while True:
            series = self.source.range(expression, SECONDS)
            if any(math.isfinite(float(value)) for one in series for _, value in one["values"]):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(1)

    def test_every_legend_names_labels_that_the_series_have(self):
        for panel in dashboard.panels(dashboard.load()):
            for target in panel["targets"]:
                with self.subTest(panel=panel["title"], target=target["refId"]):
                    wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                    for one in self.source.range(dashboard.filled(target["expr"], SECONDS), SECONDS):
                        self.assertLessEqual(wanted, set(one["metric"]))

    def test_every_annotation_can_be_worked_out(self):
        annotations = dashboard.load()["annotations"]["list"]
        self.assertEqual([one["name"] for one in annotations], ["Restart", "Start of an instance", "Reload"])
        for annotation in annotations:
            self.source.range(dashboard.filled(annotation["expr"], SECONDS), SECONDS)

    def test_every_variable_offers_something(self):
        chosen = {}
        for name, metric, label in dashboard.variables(dashboard.load()):
            offered = self.source.label_values(dashboard.filled(metric, SECONDS, chosen), label)
            self.assertTrue(offered, name)
            # The next must offer something for this choice.
            chosen[name] = offered[0]

    def test_every_rule_can_be_worked_out(self):
        groups = self.source.get("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertEqual([(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"], [])
        recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
        self.assertEqual([name for name in recorded if not self.source.query(name)], [])


def lost(ours, theirs, at=""):
    """What stands in the one tree and not, or otherwise, in the other."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from lost(value, theirs.get(key), f"{at}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs)):
            yield from lost(*pair, f"{at}/{number}")
    elif ours != theirs:
        yield at


def overlap(one, other):
    apart = (
        one["x"] + one["w"] <= other["x"]
        or other["x"] + other["w"] <= one["x"]
        or one["y"] + one["h"] <= other["y"]
        or other["y"] + other["h"] <= one["y"]
    )
    return not apart


if __name__ == "__main__":
    unittest.main()
