"""Each alert fires when it should and is silent when not, as promtool sees it."""

import os
import pathlib
import re
import unittest
from concurrent.futures import ThreadPoolExecutor

import common

RULES = common.CHART / "files/rules.yaml"
CASES = pathlib.Path(__file__).resolve().parent / "rules"
RUNBOOK = common.ROOT / "docs/runbook.md"
PROMTOOL = common.prometheus_tool("promtool")


def rules():
    """Every rule of the chart."""
    return [rule for group in common.yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts():
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@unittest.skipUnless(PROMTOOL, common.NO_PROMETHEUS)
class Promtool(unittest.TestCase):
    def test_the_rules_are_sound(self):
        done = common.run(PROMTOOL, "check", "rules", "--lint-fatal", RULES)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_alert_fires_and_is_silent_as_its_cases_say(self):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = pool.map(lambda file: (file.name, common.run(PROMTOOL, "test", "rules", file)), CASES.glob("*.yaml"))
        failed = [f"{name}\n{done.stdout}{done.stderr}" for name, done in runs if done.returncode != 0]
        self.assertEqual(failed, [])


class Cases(unittest.TestCase):
    def test_every_alert_has_a_firing_and_a_silent_case(self):
        self.assertEqual({file.stem for file in CASES.glob("*.yaml")}, set(alerts()))
        for name in alerts():
            tests = common.yaml.safe_load((CASES / f"{name}.yaml").read_text())["tests"]
            asked = [case for test in tests for case in test["alert_rule_test"]]
            self.assertEqual({case["alertname"] for case in asked}, {name})
            self.assertEqual({bool(case["exp_alerts"]) for case in asked}, {True, False}, name)


class Runbook(unittest.TestCase):
    def test_every_alert_has_its_section_and_every_section_its_alert(self):
        sections = re.findall(r"^## (ConnectorCache\w+)$", RUNBOOK.read_text(), re.M)
        self.assertEqual(sorted(sections), sorted(alerts()))

    def test_every_alert_leads_to_its_section(self):
        for name, rule in alerts().items():
            self.assertEqual(rule["annotations"]["runbook"], f"docs/runbook.md#{name.lower()}")

    def test_every_section_says_what_to_see_and_what_to_do(self):
        for section in re.split(r"^## ", RUNBOOK.read_text(), flags=re.M)[1:]:
            name = section.split("\n")[0]
            if name.startswith("ConnectorCache"):
                said = re.findall(r"^\*\*(.+?)\.\*\*", section, re.M)
                self.assertEqual(said, ["What it means", "What callers see", "What to look at", "What to do"], name)
                self.assertIn("```", section, name)

    def test_the_queries_of_the_runbook_are_sound(self):
        if not PROMTOOL:
            self.skipTest(common.NO_PROMETHEUS)
        queries = re.findall(r"^```promql\n(.*?)^```", RUNBOOK.read_text(), re.M | re.S)
        self.assertTrue(queries)
        group = {"name": "queries", "rules": [{"record": f"q:{n}", "expr": text} for n, text in enumerate(queries)]}
        with common.tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(common.yaml.safe_dump({"groups": [group]}))
            file.flush()
            done = common.run(PROMTOOL, "check", "rules", file.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
