"""Plays incidents with the real binary, and writes its metrics in promtool's notation.

Usage: record.py [INCIDENT...]

Each incident of incidents.py and shared_incidents.py has steps. A step sends requests, and then reads the admin port of
each instance once, as a scrape does. The file counts a step as ten seconds, and a step takes a tenth of a second or more.
The time of the proxy runs about a hundred times slower than the time of the file, so an incident has configured durations
of a hundredth (a tenth where replicas share a store). The counters are those of the proxy.

Writes tools/chart/tests/incidents/INCIDENT.yaml, which the tests of the alerts and of the runbook read.
"""

import functools
import re
import sys
import time
import urllib.request

import incidents
import shared_incidents
import testbed

FOLDER = testbed.ROOT / "tools/chart/tests/incidents"
INTERVAL = 10
ALL = {**incidents.ALL, **shared_incidents.ALL}
MIB = 1 << 20
LABELS = 'namespace="identity",job="connector-cache"'
# Where the queries are that a recording has to answer.
USERS = (testbed.RULES, testbed.ROOT / "docs/runbook.md")
METRIC = r"\b(?:connector_cache|process)_[a-z_]+"
# Buckets of histograms that suffice for a quantile.
BUCKETS = {"0.0001", "0.001", "0.05", "0.1", "0.25", "1", "10", "+Inf"}
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.M)


def scrape(admin):
    """Samples of one scrape by name and labels; none if the port does not respond."""
    try:
        with urllib.request.urlopen(f"{admin}/metrics", timeout=2) as response:
            text = response.read().decode()
    except OSError:
        return {}
    samples = {(name, labels): float(value) for name, labels, value in LINE.findall(text)}
    return {key: value for key, value in samples.items() if is_used(*key)}


@functools.cache
def is_used(metric, labels):
    """True if an alert or the runbook uses the series."""
    bucket = re.search(r'le="([^"]*)"', labels)
    if bucket and bucket[1] not in BUCKETS:
        return False
    return metric in used_metrics()


@functools.cache
def used_metrics():
    return {name for file in USERS for name in re.findall(METRIC, file.read_text())}


class Recording:
    """Values of each series, one for each step; None where a scrape has no sample."""

    def __init__(self, incident):
        self.fault_at, self.histograms = incident.before * INTERVAL, incident.histograms
        self.began, self.steps, self.series, self.starts = time.time(), 0, {}, {}

    def step(self, instances):
        """Adds a scrape of each instance, by its name and the address of its admin port."""
        for name, admin in instances.items():
            samples = scrape(admin)
            samples["up", ""] = float(bool(samples))
            for (metric, labels), value in samples.items():
                if metric.endswith("_bucket") and not self.histograms:
                    continue
                values = self.series.setdefault((metric, name, labels), [])
                values += [None] * (self.steps - len(values)) + [self.adapted(metric, value)]
        self.steps += 1

    def adapted(self, metric, value):
        """The value, or a timestamp in the time of the file, which begins at zero. A start is the step in which it was
        seen first."""
        if metric == "process_start_time_seconds":
            return float(self.starts.setdefault(value, self.steps * INTERVAL))
        if metric.endswith("_timestamp_seconds"):
            # An end within a day is the fault itself, which waits for it.
            return float(round(value - self.began) if value - self.began > 86400 else self.fault_at)
        # Whole MiB: other changes say nothing.
        return value // MIB * MIB if metric == "process_resident_memory_bytes" else value

    def lines(self):
        """The series that say something: those with a change or a value, and one of each metric that has none."""
        silent = {metric for metric, _, _ in self.series} - {
            metric for (metric, _, _), values in self.series.items() if any(values)
        }
        for (metric, name, labels), values in sorted(self.series.items()):
            bucket = metric.endswith("_bucket")
            if not any(values) and not bucket and metric not in silent:
                continue
            if bucket and not self.counts(metric, name, labels):
                continue
            silent.discard(metric)
            values = values + [None] * (self.steps - len(values))
            more = f",{labels}" if labels else ""
            yield f'{metric}{{{LABELS},instance="{name}"{more}}}', notation(values)

    def counts(self, metric, name, labels):
        """True if the histogram of this bucket counted something."""
        others = re.sub(r'le="[^"]*"', 'le="+Inf"', labels)
        return any(self.series.get((metric, name, others), ()))


def notation(values):
    """Runs of promtool: `0+5x3` is 0 5 10 15, and `_x3` are three missing samples. A series that ends is stale at once,
    as after a failed scrape."""
    parts, at = [], 0
    while at < len(values):
        first, end = values[at], at + 1
        if first is None:
            while end < len(values) and values[end] is None:
                end += 1
            missing = end - at - (at > 0)
            parts += ["stale"] * (at > 0) + [f"_x{missing}"] * (missing > 0)
        else:
            delta = step_between(values, at)
            while delta is not None and end < len(values) and step_between(values, end - 1) == delta:
                end += 1
            # Two numbers are shorter than a run of two.
            if end - at == 2 and delta:
                end = at + 1
            parts.append(number(first) if end - at == 1 else f"{number(first)}{run(delta)}x{end - at - 1}")
        at = end
    return " ".join(parts)


def step_between(values, at):
    pair = values[at : at + 2]
    if len(pair) < 2 or None in pair or any(value != int(value) for value in pair):
        return 0 if len(pair) == 2 and pair[0] == pair[1] else None
    return pair[1] - pair[0]


def run(delta):
    return f"{'+' if delta > 0 else '-'}{number(abs(delta))}" if delta else ""


def number(value):
    return str(int(value)) if value == int(value) else f"{value:.6g}"


def write(incident):
    recording = Recording(incident)
    with incident.world() as world:
        for step in range(incident.steps):
            began = time.monotonic()
            incident.play(world, step)
            recording.step(world.instances)
            time.sleep(max(0.0, began + incident.step - time.monotonic()))
    text = f"# Generated by tools/monitoring/record.py {incident.name}. Do not edit.\n# {incident.about}\n"
    text += f"interval: {INTERVAL}s\nstart: {incident.before * INTERVAL}\n"
    text += f"end: {(incident.before + incident.during) * INTERVAL}\nsteps: {incident.steps}\ninput_series:\n"
    for series, values in recording.lines():
        text += f"  - {{series: '{series}', values: '{values}'}}\n"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{incident.name}.yaml").write_text(text)
    print(f"record: {incident.name}: {recording.steps} steps, {len(text)} bytes", flush=True)


def main():
    names = sys.argv[1:] or list(ALL)
    for name in names:
        write(ALL[name])


if __name__ == "__main__":
    main()
