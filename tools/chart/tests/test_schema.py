"""Values that are wrong are refused, in a line that names the value."""

import copy
import functools
import itertools
import json
import os
import unittest
from concurrent.futures import ThreadPoolExecutor

import jsonschema

import common

EVERYTHING = common.CHART / "ci/everything-values.yaml"
# Values, and what both Helms must name.
REFUSED = [
    ({"replicas": 2}, "replicas"),
    ({"config": {"cache": {"tll": "5m"}}}, "tll"),
    ({"config": {"listen": {"address": "0.0.0.0:80"}}}, "listen"),
    ({"config": {"shared": {"url": "rediss://a"}}}, "shared"),
    ({"shared": {"url": "valkey:6379", "existingSecret": "a"}}, "url"),
    ({"shared": {"url": "redis://user:word@valkey", "existingSecret": "a"}}, "url"),
    ({"shared": {"url": "redis+sentinel://valkey:26379", "existingSecret": "a"}}, "url"),
    ({"shared": {"url": "redis://a,rediss://b", "existingSecret": "a"}}, "url"),
    ({"shared": {"url": "redis://a:70000", "existingSecret": "a"}}, "url"),
    ({"shared": {"secret": "0123456789abcdef0123456789abcdef"}}, "secret"),
    ({"shared": {"secretKey": ""}}, "secretKey"),
    ({"shared": {"prefix": "a{b}"}}, "prefix"),
    ({"shared": {"timeout": 50}}, "timeout"),
    ({"networkPolicy": {"shared": {"ports": [0]}}}, "ports"),
    ({"networkPolicy": {"redis": {"port": 6379}}}, "redis"),
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
    ({"podLabels": {"a b": "c"}}, "podLabels"),
    ({"service": {"annotations": {"": "c"}}}, "annotations"),
    ({"nodeSelector": {"disk": "fast!"}}, "disk"),
    ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologyKey"),
    ({"config": {"graph": {"base_url": "http://graph.example"}}}, "base_url"),
    ({"config": {"scrub": {"mask": "a\nb"}}}, "mask"),
    ({"config": {"scrub": {"extra_fields": ["a" * 129]}}}, "extra_fields"),
    ({"image": {"repository": "registry.example/a b"}}, "repository"),
    ({"ingress": {"hosts": ["https://cache.example"]}}, "hosts"),
    ({"httpRoute": {"parentRefs": [{}]}}, "parentRefs"),
    ({"prometheusRule": {"disabled": ["ConnectorCacheThrottle"]}}, "disabled"),
    ({"prometheusRule": {"alerts": {"ConnectorCacheFails": {"for": "two minutes"}}}}, "for"),
    ({"prometheusRule": {"alerts": {"ConnectorCacheFails": {"severty": "page"}}}}, "severty"),
    ({"prometheusRule": {"alertLabels": {"team": 1}}}, "team"),
    ({"prometheusRule": {"thresholds": {"errorRatio": 25}}}, "errorRatio"),
    ({"prometheusRule": {"thresholds": {"errorRate": 0.1}}}, "errorRate"),
    ({"prometheusRule": {"thresholds": {"restarts": "0.5"}}}, "restarts"),
    ({"prometheusRule": {"job": 'a"b'}}, "job"),
    ({"prometheusRule": {"dashboardUrl": "grafana.example"}}, "dashboardUrl"),
    ({"dashboard": {"logsUrl": "loki"}}, "logsUrl"),
    ({"image": {"repository": "registry.example/connector-cache:0.1.0"}}, "repository"),
    ({"image": {"repository": "registry.example/Connector-Cache"}}, "repository"),
    ({"image": {"tag": 1.1}}, "tag"),
    ({"imagePullSecrets": [{"name": ""}]}, "imagePullSecrets"),
    ({"tls": {"existingSecret": "a..b"}}, "existingSecret"),
    ({"tls": {"certificateKey": ".."}}, "certificateKey"),
    ({"config": {"graph": {"base_url": "https://graph.example:70000"}}}, "base_url"),
    ({"config": {"graph": {"base_url": "https://graph.example:no"}}}, "base_url"),
    ({"config": {"graph": {"ca_file": "-----BEGIN CERTIFICATE-----\nMIIB"}}}, "ca_file"),
    ({"config": {"telemetry": {"otlp_endpoint": "http://collector:0"}}}, "otlp_endpoint"),
    ({"config": {"log": {"filter": "inof"}}}, "filter"),
    ({"config": {"log": {"filter": "info, debug"}}}, "filter"),
    ({"config": {"cache": {"stale_if_error": "99999999999999999999h"}}}, "stale_if_error"),
    ({"config": {"scrub": {"keep_query": ["a\tb"]}}}, "keep_query"),
    ({"resources": {"limits": {"memroy": "1Gi"}}}, "memroy"),
    ({"probes": {"startup": {"periodSeconds": 1e12}}}, "periodSeconds"),
    ({"podDisruptionBudget": {"maxUnavailable": "101%"}}, "maxUnavailable"),
    ({"tolerations": [{"keys": "dedicated"}]}, "keys"),
    ({"tolerations": [{}]}, "tolerations"),
    ({"securityContext": {"capabilities": {"drop": ["all"]}}}, "drop"),
    ({"podSecurityContext": {"seccompProfile": {"type": None}}}, "seccompProfile"),
    ({"serviceMonitor": {"relabelings": [{}]}}, "relabelings"),
    ({"affinity": {"podAntiAfinity": {}}}, "podAntiAfinity"),
    (
        {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "Maybe"}]},
        "whenUnsatisfiable",
    ),
    ({"autoscaling": {"metrics": [{"type": "Pods"}]}}, "metrics"),
    ({"autoscaling": {"behavior": {"scaleUp": {"policies": [{"type": "Pods"}]}}}}, "policies"),
    ({"networkPolicy": {"callers": [{}]}}, "callers"),
    ({"networkPolicy": {"graph": [{"ipBlock": {"cidr": "20.190.128.0"}}]}}, "cidr"),
    ({"networkPolicy": {"graph": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}}, "graph"),
    ({"networkPolicy": {"extraEgress": [{"from": []}]}}, "from"),
    ({"networkPolicy": {"extraIngress": [{"ports": [{"port": 0}]}]}}, "port"),
    ({"serviceMonitor": {"relabelings": [{"source_labels": ["a"]}]}}, "source_labels"),
    ({"prometheusRule": {"extraGroups": [{"rules": []}]}}, "name"),
    ({"prometheusRule": {"runbookUrl": "https://wiki.example/book#top"}}, "runbookUrl"),
    ({"ingress": {"hosts": ["10.0.0.1"]}}, "hosts"),
    ({"ingress": {"tls": [{"secret": "a"}]}}, "secret"),
    ({"httpRoute": {"parentRefs": [{"name": "a", "hostname": "b"}]}}, "hostname"),
    ({"extraEnv": [{"name": "A", "value": 1}]}, "value"),
    ({"extraEnv": [{"name": "A B", "value": "1"}]}, "name"),
    ({"extraVolumes": [{"name": "a", "configmap": {"name": "b"}}]}, "configmap"),
    ({"extraVolumeMounts": [{"name": "config", "mountPath": "roots"}]}, "mountPath"),
    ({"extraObjects": [{"kind": "ConfigMap"}]}, "apiVersion"),
    # What takes two values to see, the templates refuse.
    ({"terminationGracePeriodSeconds": 29}, r"config.drain.delay (5s) and config.drain.timeout (20s)"),
    ({"config": {"drain": {"delay": "1m"}}}, "terminationGracePeriodSeconds is 30"),
    ({"config": {"cache": {"max_bytes": "433MiB"}}}, "resources.limits.memory (576Mi)"),
    ({"config": {"cache": {"max_bytes": 603979776}}}, "resources.limits.memory (576Mi)"),
    ({"resources": {"limits": {"memory": "103Mi"}}}, "resources.limits.memory (103Mi)"),
    ({"containerPorts": {"admin": 8080}}, "containerPorts.admin"),
    ({"shared": {"url": "redis://valkey"}}, "shared.existingSecret"),
    ({"shared": {"certificateKey": "tls.crt"}}, "shared.privateKeyKey"),
    ({"shared": {"url": "redis://a", "existingSecret": "a", "caKey": "ca.crt"}}, "expected rediss"),
    ({"shared": {"url": "redis://a", "existingSecret": "a"}, "extraVolumes": [{"name": "shared"}]}, "extraVolumes"),
    ({"tls": {"clientCaKey": "ca.crt"}}, "tls.existingSecret"),
    ({"autoscaling": {"enabled": True, "minReplicas": 9}}, "autoscaling.maxReplicas (6)"),
    ({"config": {"graph": {"connect_timeout": "11s"}}}, "config.graph.timeout (10s)"),
    ({"serviceMonitor": {"enabled": True, "interval": "5s"}}, "serviceMonitor.interval (5s)"),
    ({"extraEnv": [{"name": "CONNECTOR_CACHE__LISTEN__ADDRESS", "value": "0.0.0.0:1"}]}, "containerPorts"),
    ({"config": {"graph": {"connect_timeout": None, "timeout": "1s"}}}, "config.graph.timeout (1s)"),
    ({"podSecurityContext": {"runAsUser": 0}}, "runAsNonRoot"),
    ({"securityContext": {"runAsUser": 0}}, "securityContext"),
    ({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}, "strategy.rollingUpdate.maxSurge"),
    ({"resources": {"requests": {"memory": "1Gi"}}}, "resources.limits.memory (576Mi)"),
    ({"resources": {"requests": {"cpu": "2001m"}}}, "resources.limits.cpu (2)"),
    ({"tests": {"resources": {"requests": {"cpu": 1}}}}, "tests.resources.limits.cpu (100m)"),
    ({"extraEnv": [{"name": "A"}, {"name": "A"}]}, "extraEnv has A twice"),
    ({"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}, "imagePullSecrets has a twice"),
    ({"extraVolumes": [{"name": "config", "emptyDir": {}}]}, "extraVolumes has config twice"),
    ({"extraVolumeMounts": [{"name": "roots", "mountPath": "/roots"}]}, "extraVolumeMounts has roots"),
    (
        {"extraVolumeMounts": [{"name": "config", "mountPath": "/etc/connector-cache/config/"}]},
        "extraVolumeMounts has /etc/connector-cache/config twice",
    ),
    ({"prometheusRule": {"extraGroups": [{"name": "connector-cache"}]}}, "prometheusRule.extraGroups"),
    ({"extraObjects": ["no object"]}, "extraObjects[0]"),
    ({"ingress": {"enabled": True}}, "ingress.hosts"),
    ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
]

ACCEPTED = [
    {"terminationGracePeriodSeconds": 30},
    {"terminationGracePeriodSeconds": 3547, "config": {"drain": {"delay": "500 ms", "timeout": "0h 59m 1s"}}},
    {"config": {"cache": {"max_bytes": "384MiB"}}},
    {"resources": {"limits": {"memory": "104Mi"}, "requests": None}},
    {"config": {"cache": {"max_bytes": "4GiB"}}, "resources": {"limits": {"memory": None}}},
    {"config": {"cache": {"max_bytes": "700MiB"}}, "resources": {"limits": {"memory": "1G"}}},
    *({"resources": {"limits": {"memory": amount}}} for amount in (1e9, "1e9", "1P", "0.5Gi", "500000000000m")),
    {"config": {"cache": {"ttl": None}, "server": {"threads": 3}}},
    {"config": {"graph": {"connect_timeout": None}, "limits": None}},
    {"config": {"graph": {"base_url": "http://[::1]:8080/"}}},
    {"strategy": None, "podAnnotations": None},
    {"probes": {"liveness": {"periodSeconds": None, "timeoutSeconds": None, "failureThreshold": None}}},
    {"serviceMonitor": {"interval": "5s"}},
    {"podSecurityContext": {"runAsUser": None, "fsGroup": None}},
    {"podSecurityContext": {"runAsUser": 0}, "securityContext": {"runAsUser": 65532}},
    {"podSecurityContext": {"runAsUser": 0, "runAsNonRoot": False}},
    {"tolerations": [{"operator": "Exists"}, {"key": "dedicated"}]},
    {"replicaCount": 0},
    {"replicaCount": 1, "autoscaling": {"enabled": True, "minReplicas": 1, "maxReplicas": 1}},
    {"service": {"port": 9090}, "adminService": {"port": 9090}},
    {"extraEnv": [], "extraVolumes": None, "extraObjects": ["{{ if false }}kind: Secret{{ end }}"]},
    {"extraObjects": ['{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}']},
    {"resources": {"requests": {"cpu": 2, "memory": "512Mi"}}},
    {"resources": {"requests": {"example.com/device": 1}, "limits": {"example.com/device": "1"}}},
    *({"image": {"repository": name}} for name in ("a", "localhost:5000/a/b__c", "[::1]:5000/a", "Registry.example/a")),
    *({"config": {"log": {"filter": text}}} for text in ("off", "connector_cache::upstream", "warn,hyper=trace")),
    {"config": {"graph": {"base_url": "https://[fd00::1]:8443/"}}},
    {"tls": {"existingSecret": "a.b", "clientCaKey": ".ca"}},
    {"ingress": {"enabled": True, "hosts": ["*.example.com", "cache"]}},
    {
        "extraVolumes": [{"name": "roots", "csi": {"driver": "a.b"}}],
        "extraVolumeMounts": [{"name": "roots", "mountPath": "/r"}],
    },
]

# A value of each kind, and none that anything but a switch takes.
KINDS = {"a text": "x\ty", "a number": -0.5, "a switch": True, "a list": [[]], "a map": {"a b": 1}}


def sections(table, above=()):
    """The path of each map among the values, whole sections first."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield (*above, key)
            yield from sections(value, (*above, key))


def leaves(table, above=()):
    """The path and the default of each value."""
    for key, value in table.items():
        yield (*above, key), value
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))


def null_at(path):
    return functools.reduce(lambda inner, key: {key: inner}, reversed(path), None)


class Schema(unittest.TestCase):
    def test_wrong_values_are_refused_in_a_line_that_names_them(self):
        for (values, named), helm in itertools.product(REFUSED, common.HELMS):
            with self.subTest(str(values), helm=helm):
                done = common.template(values, helm=helm)
                self.assertNotEqual(done.returncode, 0)
                lines = [line for line in done.stderr.splitlines() if named in line]
                self.assertTrue(lines, f"no line says {named}:\n{done.stderr}")
                self.assertNotIn("nil pointer", done.stderr)

    def test_values_at_the_edge_are_accepted(self):
        for values, helm in itertools.product(ACCEPTED, common.HELMS):
            with self.subTest(str(values), helm=helm):
                done = common.template(values, helm=helm)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_null_leaves_a_key_to_the_binary_or_the_cluster(self):
        objects = common.render({"config": {"cache": {"ttl": None}}, "podSecurityContext": {"runAsUser": None}})
        self.assertNotRegex(common.config_of(objects), r"(?m)^ttl")
        self.assertNotIn("runAsUser", common.pod_of(objects)["spec"]["securityContext"])
        monitor = common.render({"serviceMonitor": {"enabled": True, "interval": None, "scrapeTimeout": None}})
        [endpoint] = common.one(monitor, "ServiceMonitor")["spec"]["endpoints"]
        self.assertEqual(set(endpoint), {"port", "path", "relabelings"})

    def test_a_section_that_is_null_is_taken_or_refused_in_a_line_that_says_so(self):
        values = common.yaml.safe_load((common.CHART / "values.yaml").read_text())
        paths = list(sections(values))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            done = pool.map(lambda path: common.template(null_at(path), files=[EVERYTHING]), paths)
        for path, one in zip(paths, done, strict=True):
            with self.subTest(".".join(path)):
                said = one.stderr
                self.assertTrue(one.returncode == 0 or f"missing property '{path[-1]}'" in said, said)

    def test_a_value_of_another_kind_is_refused_wherever_it_stands(self):
        schema = jsonschema.Draft7Validator(json.loads((common.CHART / "values.schema.json").read_text()))
        values = common.yaml.safe_load((common.CHART / "values.yaml").read_text())
        taken = set()
        for path, _ in leaves(values):
            for kind, wrong in KINDS.items():
                # What is above it has the defaults of all else, as Helm sees it.
                *above, last = path
                changed = copy.deepcopy(values)
                functools.reduce(dict.get, above, changed)[last] = wrong
                if schema.is_valid(changed):
                    taken.add((".".join(path), kind))
        switches = {(".".join(path), "a switch") for path, default in leaves(values) if isinstance(default, bool)}
        self.assertEqual(taken, switches | {("global", "a map")})

    def test_the_chart_can_be_a_part_of_another(self):
        self.assertEqual(common.template({"global": {"anything": {"at": "all"}}}).returncode, 0)


if __name__ == "__main__":
    unittest.main()
