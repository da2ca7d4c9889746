"""Recorded incidents: each complete outage pages within five minutes, and what harms few callers pages nobody."""

import os
import unittest
from concurrent.futures import ThreadPoolExecutor

import recordings

# Incidents in which most answers fail, and the alert that pages.
OUTAGES = {
    "graph-throttles": "ConnectorCacheFails",
    "graph-503": "ConnectorCacheFails",
    "graph-down": "ConnectorCacheFails",
    "graph-slow": "ConnectorCacheFails",
    "graph-hangs": "ConnectorCacheFails",
    "overloaded": "ConnectorCacheFails",
    "refused": "ConnectorCacheRefused",
    "revoked": "ConnectorCacheRefused",
    "certificate-expired": "ConnectorCacheHandshakesFail",
    "certificate-not-trusted": "ConnectorCacheHandshakesFail",
    "connections": "ConnectorCacheConnectionsRefused",
    "crash-loop": "ConnectorCacheCrashLoop",
    "gone": "ConnectorCacheAbsent",
}
# Incidents that page nobody, and the warning that they cause, if any.
HARMLESS = {
    "two-of-nine": None,
    "blip": None,
    "broken-caller": None,
    "rollout": None,
    "bypass": "ConnectorCacheBypass",
    "full": None,
    "masked": None,
    "panic": "ConnectorCachePanics",
    "log-gone": "ConnectorCacheLogDropped",
    "no-hits": "ConnectorCacheHitRatioLow",
    "one-gone": "ConnectorCacheDown",
    "out-of-memory": "ConnectorCacheRestarted",
    "reload-fails": "ConnectorCacheReloadFailed",
    "unscrubbable": "ConnectorCacheUnscrubbable",
}
# Incidents of replicas that share a store, and all alerts that they cause. None is a page: no request fails.
SHARED = {
    "shared-rollout": set(),
    "store-flushed": set(),
    "store-frozen": {"ConnectorCacheSharedUnused"},
    "store-full": {"ConnectorCacheSharedDivided"},
    "store-gone": {"ConnectorCacheSharedUnused"},
    "store-password": {"ConnectorCacheSharedUnused"},
    "store-restarts": set(),
    "store-tampered": {"ConnectorCacheSharedInvalid"},
    "wrong-secret": {"ConnectorCacheSharedDivided", "ConnectorCacheSharedInvalid"},
}
# Only the flood calls here, so that most answers are 429: the page is right, but late.
OTHERS = {"flood"}
FIVE_MINUTES = 300
# The certificate ends soon, before it has ended.
EARLY = {"certificate-expired": {"ConnectorCacheCertificateEndsNow"}}


def pages(seconds):
    """Alerts that have paged within so many seconds."""
    return f'group by (alertname) (count_over_time(ALERTS{{alertstate="firing",severity="critical"}}[{seconds}s]))'


@unittest.skipUnless(recordings.PROMTOOL, recordings.common.NO_PROMETHEUS)
class Incidents(unittest.TestCase):
    def test_every_outage_pages_within_five_minutes_and_not_before_it_begins(self):
        self.all_hold(OUTAGES, self.outage)

    def test_no_harmless_incident_pages(self):
        self.all_hold(HARMLESS, self.harmless)

    def test_an_incident_of_the_shared_tier_causes_its_alerts_and_no_other(self):
        self.all_hold(SHARED, self.shared)

    def test_an_alert_of_the_shared_tier_is_silent_before_the_incident_and_ends_after_it(self):
        self.assertIn("store-gone", SHARED)
        self.all_hold([name for name in SHARED if "Unused" in str(SHARED[name])], self.ends)

    def test_no_alert_of_the_shared_tier_fires_without_one(self):
        self.all_hold([*OUTAGES, *HARMLESS, *OTHERS], self.unshared)

    def test_every_page_ends_after_the_recovery(self):
        # ConnectorCacheCrashLoop looks back for ten minutes.
        over = [name for name in OUTAGES if name != "crash-loop" and self.after(recordings.load(name)) > 280]
        self.assertIn("graph-503", over)
        self.all_hold(over, self.recovery)

    def all_hold(self, names, holds):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for failures in pool.map(holds, names):
                self.assertEqual(failures, "")

    def outage(self, name):
        start, alert = recordings.load(name)["start"], OUTAGES[name]
        before = [(f'{{alertname="{early}"}}', 1) for early in EARLY.get(name, ())]
        fires = recordings.firing(f'severity="critical",alertname="{alert}"')
        expected = [(f'{{alertname="{alert}"}}', 1)]
        return recordings.evaluate(
            name, [(start - 10, pages(start), before), (start + FIVE_MINUTES, fires, expected)]
        )

    def harmless(self, name):
        recorded, warning = recordings.load(name), HARMLESS[name]
        end = (recorded["steps"] - 1) * 10
        # The failure before the two requests of nine has paged, and rightly.
        cases = [(end, pages(end - recorded["start"] if name == "two-of-nine" else end), [])]
        if warning:
            alert = f'ALERTS{{alertstate="firing",alertname="{warning}"}}'
            seen = f"group by (alertname) (count_over_time({alert}[{end}s]))"
            cases.append((end, seen, [(f'{{alertname="{warning}"}}', 1)]))
        return recordings.evaluate(name, cases)

    def shared(self, name):
        end = (recordings.load(name)["steps"] - 1) * 10
        fired = f'group by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{end}s]))'
        return recordings.evaluate(name, [(end, fired, [(f'{{alertname="{alert}"}}', 1) for alert in SHARED[name]])])

    def ends(self, name):
        recorded = recordings.load(name)
        fires = 'group by (alertname) (ALERTS{alertstate="firing"})'
        expected = [('{alertname="ConnectorCacheSharedUnused"}', 1)]
        start, end = recorded["start"], recorded["end"]
        return recordings.evaluate(name, [(start, fires, []), (start + 600, fires, expected), (end + 300, fires, [])])

    def unshared(self, name):
        end = (recordings.load(name)["steps"] - 1) * 10
        fired = f'count_over_time(ALERTS{{alertname=~"ConnectorCacheShared.*"}}[{end}s])'
        return recordings.evaluate(name, [(end, fired, [])])

    def recovery(self, name):
        recorded = recordings.load(name)
        end = (recorded["steps"] - 1) * 10
        return recordings.evaluate(name, [(end, recordings.firing('severity="critical"'), [])])

    def after(self, recorded):
        return (recorded["steps"] - 1) * 10 - recorded["end"]

    def test_every_recording_has_its_case(self):
        self.assertEqual(set(recordings.names()), set(OUTAGES) | set(HARMLESS) | set(SHARED) | OTHERS)


if __name__ == "__main__":
    unittest.main()
