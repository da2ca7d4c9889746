"""Values that are wrong are refused, in a line that names the value."""

import functools
import itertools
import os
import unittest
from concurrent.futures import ThreadPoolExecutor

import kit

EVERYTHING = kit.CHART / "ci/everything-values.yaml"
# Values, and what both Helms must name.
REFUSED = [
    ({"replicas": 2}, "replicas"),
    ({"config": {"cache": {"tll": "5m"}}}, "tll"),
    ({"config": {"listen": {"address": "0.0.0.0:80"}}}, "listen"),
    ({"config": {"shared": {"url": "rediss://a"}}}, "shared"),
    ({"replicaCount": "two"}, "replicaCount"),
    ({"replicaCount": 1.5}, "replicaCount"),
    ({"networkPolicy": {"enabled": "yes"}}, "enabled"),
    ({"config": {"cache": {"ttl": 300}}}, "ttl"),
    ({"config": {"cache": {"ttl": "five minutes"}}}, "ttl"),
    ({"config": {"cache": {"max_bytes": "lots"}}}, "max_bytes"),
    ({"config": {"graph": {"base_url": "https://graph.microsoft.com/beta"}}}, "base_url"),
    ({"config": {"limits": {"headers": 5}}}, "headers"),
    ({"cloud": "germany"}, "cloud"),
    ({"config": {"telemetry": {"otlp_endpoint": "collector:4318"}}}, "otlp_endpoint"),
    ({"service": {"type": "ExternalName"}}, "type"),
    ({"service": {"port": 70000}}, "port"),
    ({"fullnameOverride": "Cache_1"}, "fullnameOverride"),
    ({"fullnameOverride": "a" * 64}, "fullnameOverride"),
    ({"nameOverride": "-a"}, "nameOverride"),
    ({"image": {"digest": "sha256:1234"}}, "digest"),
    ({"image": {"repository": "a:1.0@sha256"}}, "repository"),
    ({"tls": {"existingSecret": "My Secret"}}, "existingSecret"),
    ({"commonLabels": {"team": 1}}, "commonLabels"),
    ({"podAnnotations": {"a": 1}}, "podAnnotations"),
    ({"probes": {"readiness": {"path": "/"}}}, "path"),
    ({"networkPolicy": {"callers": [{"namespace": "a"}]}}, "namespace"),
    ({"extraEnv": [{"value": "a"}]}, "name"),
    ({"serviceMonitor": {"interval": "1m 30s"}}, "interval"),
    ({"podSecurityContext": {"runAsNonroot": True}}, "runAsNonroot"),
    ({"securityContext": {"allowPrivilegeEscalation": "false"}}, "allowPrivilegeEscalation"),
    ({"securityContext": {"capabilities": {"drops": ["ALL"]}}}, "drops"),
    ({"resources": {"limits": {"memory": "256 MB"}}}, "memory"),
    ({"resources": {"requests": {"cpu": True}}}, "cpu"),
    ({"strategy": {"rollingUpdate": {"maxSurge": "a quarter"}}}, "maxSurge"),
    ({"probes": {"liveness": {"successThreshold": 2}}}, "successThreshold"),
    ({"podDisruptionBudget": {"maxUnavailable": ""}}, "maxUnavailable"),
    ({"autoscaling": {"maxReplicas": None}}, "maxReplicas"),
    ({"autoscaling": {"behavior": {"scaledown": {}}}}, "scaledown"),
    ({"commonLabels": {"team": "sign up"}}, "team"),
    ({"commonLabels": {"team": "a" * 64}}, "team"),
    ({"podLabels": {"a b": "c"}}, "a b"),
    ({"nodeSelector": {"disk": "fast!"}}, "disk"),
    ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologyKey"),
    ({"config": {"graph": {"base_url": "http://graph.example"}}}, "base_url"),
    ({"config": {"scrub": {"mask": "a\nb"}}}, "mask"),
    ({"config": {"scrub": {"extra_fields": ["a" * 129]}}}, "extra_fields"),
    ({"image": {"repository": "registry.example/a b"}}, "repository"),
    ({"ingress": {"hosts": ["https://cache.example"]}}, "hosts"),
    ({"httpRoute": {"parentRefs": [{}]}}, "parentRefs"),
    ({"prometheusRule": {"disabled": ["ConnectorCacheThrottle"]}}, "disabled"),
    # What takes two values to see, the templates refuse.
    ({"terminationGracePeriodSeconds": 29}, r"config.drain.delay (5s) and config.drain.timeout (20s)"),
    ({"config": {"drain": {"delay": "1m"}}}, "terminationGracePeriodSeconds is 30"),
    ({"config": {"cache": {"max_bytes": "385MiB"}}}, "resources.limits.memory (512Mi)"),
    ({"config": {"cache": {"max_bytes": 536870912}}}, "resources.limits.memory (512Mi)"),
    ({"resources": {"limits": {"memory": "103Mi"}}}, "resources.limits.memory (103Mi)"),
    ({"containerPorts": {"admin": 8080}}, "containerPorts.admin"),
    ({"tls": {"clientCaKey": "ca.crt"}}, "tls.existingSecret"),
    ({"autoscaling": {"enabled": True, "minReplicas": 9}}, "autoscaling.maxReplicas (6)"),
    ({"config": {"graph": {"connect_timeout": "11s"}}}, "config.graph.timeout (10s)"),
    ({"serviceMonitor": {"enabled": True, "interval": "5s"}}, "serviceMonitor.interval (5s)"),
    ({"extraEnv": [{"name": "CONNECTOR_CACHE__LISTEN__ADDRESS", "value": "0.0.0.0:1"}]}, "containerPorts"),
    ({"ingress": {"enabled": True}}, "ingress.hosts"),
    ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
]

ACCEPTED = [
    {"terminationGracePeriodSeconds": 30},
    {"terminationGracePeriodSeconds": 3547, "config": {"drain": {"delay": "500 ms", "timeout": "0h 59m 1s"}}},
    {"config": {"cache": {"max_bytes": "384MiB"}}},
    {"resources": {"limits": {"memory": "104Mi"}}},
    {"config": {"cache": {"max_bytes": "4GiB"}}, "resources": {"limits": {"memory": None}}},
    {"config": {"cache": {"max_bytes": "700MiB"}}, "resources": {"limits": {"memory": "1G"}}},
    *({"resources": {"limits": {"memory": amount}}} for amount in (1e9, "1e9", "1P", "0.5Gi", "500000000000m")),
    {"config": {"cache": {"ttl": None}, "server": {"threads": 3}}},
    {"config": {"graph": {"connect_timeout": None}, "limits": None}},
    {"config": {"graph": {"base_url": "http://[::1]:8080/"}}},
    {"strategy": None, "podAnnotations": None},
    {"serviceMonitor": {"interval": "5s"}},
    {"podSecurityContext": {"runAsUser": None, "fsGroup": None}},
    {"replicaCount": 0},
]


def sections(table, above=()):
    """The path of each map among the values, whole sections first."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield (*above, key)
            yield from sections(value, (*above, key))


def null_at(path):
    return functools.reduce(lambda inner, key: {key: inner}, reversed(path), None)


class Schema(unittest.TestCase):
    def test_wrong_values_are_refused_in_a_line_that_names_them(self):
        for (values, named), helm in itertools.product(REFUSED, kit.HELMS):
            with self.subTest(str(values), helm=helm):
                done = kit.template(values, helm=helm)
                self.assertNotEqual(done.returncode, 0)
                lines = [line for line in done.stderr.splitlines() if named in line]
                self.assertTrue(lines, f"no line says {named}:\n{done.stderr}")
                self.assertNotIn("nil pointer", done.stderr)

    def test_values_at_the_edge_are_accepted(self):
        for values, helm in itertools.product(ACCEPTED, kit.HELMS):
            with self.subTest(str(values), helm=helm):
                done = kit.template(values, helm=helm)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_null_leaves_a_key_to_the_binary_or_the_cluster(self):
        objects = kit.render({"config": {"cache": {"ttl": None}}, "podSecurityContext": {"runAsUser": None}})
        self.assertNotRegex(kit.config_of(objects), r"(?m)^ttl")
        self.assertNotIn("runAsUser", kit.pod_of(objects)["spec"]["securityContext"])

    def test_a_section_that_is_null_is_taken_or_refused_in_a_line_that_says_so(self):
        values = kit.yaml.safe_load((kit.CHART / "values.yaml").read_text())
        paths = list(sections(values))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            done = pool.map(lambda path: kit.template(null_at(path), files=[EVERYTHING]), paths)
        for path, one in zip(paths, done, strict=True):
            with self.subTest(".".join(path)):
                said = one.stderr
                self.assertTrue(one.returncode == 0 or f"missing property '{path[-1]}'" in said, said)

    def test_the_chart_can_be_a_part_of_another(self):
        self.assertEqual(kit.template({"global": {"anything": {"at": "all"}}}).returncode, 0)


if __name__ == "__main__":
    unittest.main()
