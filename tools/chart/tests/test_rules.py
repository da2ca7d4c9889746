"""Each alert fires when it should and is silent when not, as promtool sees it."""

import os
import pathlib
import re
import unittest
from concurrent.futures import ThreadPoolExecutor

import common
import recordings

RULES = common.CHART / "files/rules.yaml"
CASES = pathlib.Path(__file__).resolve().parent / "rules"
RUNBOOK = common.ROOT / "docs/runbook.md"
PROMTOOL = common.prometheus_tool("promtool")
QUERY = re.compile(r"^```promql ([\w-]+)\n(.*?)^```", re.M | re.S)


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
        self.assertFalse(failed, "\n".join(failed))


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

    def test_every_section_of_an_alert_says_what_to_see_and_what_to_do(self):
        headings = ["What it means", "What callers see", "What to look at", "What to do"]
        for name, section in sections():
            if name.startswith("ConnectorCache"):
                self.assertEqual(re.findall(r"^\*\*(.+?)\.\*\*", section, re.M), headings, name)
                self.assertIn("```", section, name)

    def test_every_symptom_of_the_index_has_a_section_with_three_queries(self):
        text = dict(sections())
        symptoms = re.findall(r"^\| .* \| \[(.+)\]\(#(.+)\) \|$", RUNBOOK.read_text(), re.M)
        shown = " ".join(line for line in RUNBOOK.read_text().splitlines() if line.startswith("| "))
        for word in ("401", "403", "429", "502", "503", "504", "TLS", "slow", "empty"):
            self.assertIn(word, shown)
        for name, anchor in symptoms:
            self.assertEqual(anchor, name.lower().replace(" ", "-"))
            headings = re.findall(r"^\*\*(.+?)\.\*\*", text[name], re.M)
            self.assertEqual(headings, ["What callers see", "What to look at", "What to do", "What not to do"], name)
            self.assertGreaterEqual(len(QUERY.findall(text[name])), 3, name)

    def test_every_link_within_the_page_leads_to_a_section(self):
        anchors = {name.lower().replace(" ", "-") for name, _ in sections()}
        self.assertEqual(set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK.read_text())) - anchors, set())

    @unittest.skipUnless(PROMTOOL, common.NO_PROMETHEUS)
    def test_every_query_of_the_runbook_returns_something_during_its_incident(self):
        """The word after `promql` names the recording."""
        by_incident = {}
        for incident, query in QUERY.findall(RUNBOOK.read_text()):
            by_incident.setdefault(incident, []).append(query.strip())
        self.assertLessEqual(set(by_incident), set(recordings.names()))
        self.assertEqual(RUNBOOK.read_text().count("```promql"), sum(map(len, by_incident.values())))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            failed = [text for text in pool.map(unanswered, by_incident, by_incident.values()) if text]
        self.assertFalse(failed, "\n".join(failed))


def sections():
    """Name and text of each section of the runbook."""
    parts = re.split(r"^## ", RUNBOOK.read_text(), flags=re.M)[1:]
    return [tuple(part.split("\n", 1)) for part in parts]


def unanswered(incident, queries):
    """Failures of promtool for the queries that return no finite number four minutes after the fault, or at its end."""
    recorded = recordings.load(incident)
    at = min(recorded["end"], recorded["start"] + 240)
    if incident == "reload-fails":
        # The file is repaired at the end.
        at = recorded["end"] + 60
    if recorded["end"] - recorded["start"] > 900:
        # Queries of a slow change look back for a quarter of an hour.
        at = recorded["start"] + 900
    expressions = [(at, recordings.FINITE.format(query=query), [("{}", 1)]) for query in queries]
    return recordings.evaluate(incident, expressions)


if __name__ == "__main__":
    unittest.main()
