"""A real Prometheus reads each format of the metrics: OpenMetrics with exemplars, and protobuf with native histograms."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import common

sys.path.insert(0, str(common.ROOT / "tools/monitoring"))

import testbed  # noqa: E402

PROMETHEUS = common.prometheus_tool("prometheus")
HITS = 20
DURATION = 'connector_cache_request_duration_seconds{cache="hit"}'


@contextlib.contextmanager
def scraped(features):
    """A demo with HITS hits, all of them traced, and a Prometheus with these features that has scraped them."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        collector = stack.enter_context(testbed.serving(testbed.Collector))
        env = {**os.environ, "CONNECTOR_CACHE__TELEMETRY__OTLP_ENDPOINT": collector}
        process = testbed.running(testbed.BINARY, "demo", stdout=subprocess.PIPE, text=True, env=env)
        demo = testbed.Demo(stack.enter_context(process))
        web = testbed.free_port()
        arguments = [
            f"--config.file={testbed.config_of_prometheus(folder, [demo.admin])}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={testbed.HOST}:{web}",
            f"--enable-feature={','.join(features)}",
        ]
        stack.enter_context(testbed.running(PROMETHEUS, *arguments, **quiet))
        testbed.wait_for(f"http://{testbed.HOST}:{web}/-/ready")
        for _ in range(HITS + 1):
            testbed.ask(demo.data, demo.path, demo.tokens[0])
        prometheus = testbed.Prometheus(f"http://{testbed.HOST}:{web}")
        wait_until(lambda: number(prometheus, 'connector_cache_requests_total{cache="hit",status="200"}') == HITS)
        yield demo, prometheus


def number(prometheus, expression):
    result = prometheus.query(expression)
    return float(result[0]["value"][1]) if result else None


def wait_until(condition):
    deadline = time.monotonic() + testbed.DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("Prometheus has not scraped the expected counts")
        time.sleep(0.1)


def get(url, accept):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept})) as response:
        return response.headers["Content-Type"], response.read().decode()


@unittest.skipUnless(PROMETHEUS, common.NO_PROMETHEUS)
class Formats(unittest.TestCase):
    def exemplars(self, prometheus, name):
        now = time.time()
        found = prometheus.get("query_exemplars", query=name, start=now - 60, end=now)
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def test_openmetrics_has_the_series_of_the_text_and_exemplars_with_trace_ids(self):
        with scraped(["exemplar-storage"]) as (demo, prometheus):
            bucket = DURATION.replace("{", "_bucket{")
            self.assertLess(number(prometheus, f"histogram_quantile(0.5, {bucket})"), 0.1)
            exemplars = self.exemplars(prometheus, "connector_cache_request_duration_seconds_bucket")
            self.assertTrue(exemplars)
            for exemplar in exemplars:
                self.assertRegex(exemplar["labels"]["trace_id"], "^[0-9a-f]{32}$")
            url = f"{demo.admin}/metrics"
            kind, text = get(url, "text/plain")
            self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
            kind, openmetrics = get(url, "application/openmetrics-text;version=1.0.0")
            self.assertEqual(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.assertTrue(openmetrics.endswith("\n# EOF\n"))
            self.assertEqual(names(text), names(openmetrics))

    def test_protobuf_has_native_histograms_and_exemplars(self):
        with scraped(["native-histograms", "exemplar-storage"]) as (_, prometheus):
            self.assertEqual(number(prometheus, f"histogram_count({DURATION})"), HITS)
            # A hit takes neither a microsecond nor a second, even on a busy machine.
            median = number(prometheus, f"histogram_quantile(0.5, {DURATION})")
            self.assertTrue(1e-6 < median < 1, median)
            graph = number(prometheus, "histogram_quantile(0.5, connector_cache_origin_request_duration_seconds)")
            self.assertTrue(0.1 < graph < 1, graph)
            self.assertTrue(self.exemplars(prometheus, "connector_cache_request_duration_seconds"))


def names(exposition):
    """Names and labels of all samples."""
    lines = (line for line in exposition.splitlines() if line and not line.startswith("#"))
    return sorted(re.match(r"[^ {]+(\{.*?\})?(?= )", line).group() for line in lines)


if __name__ == "__main__":
    unittest.main()
