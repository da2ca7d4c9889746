"""What the chart promises about the objects that it renders."""

import re
import tomllib
import unittest

import common

# How long the binary may take for its last flights, spans, scrapes, tasks and log lines.
AFTER_THE_DRAIN = {
    "app/run.rs": r"const LAST_(?:FETCHES|SPANS)_TIMEOUT: Duration = Duration::from_secs\((\d+)\)",
    "admin.rs": r"delay: Duration::ZERO, timeout: Duration::from_secs\((\d+)\)",
    "server/workers.rs": r"const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs\((\d+)\)",
    "observability/logging/writer.rs": r"const FLUSH_TIMEOUT: Duration = Duration::from_secs\((\d+)\)",
}
# Seconds that `helm test` waits where nothing else is said.
HELMS_PATIENCE = 300
TLS = common.CHART / "ci/tls-values.yaml"
EVERYTHING = common.CHART / "ci/everything-values.yaml"
DEFAULT = common.CHART / "ci/default-values.yaml"
CONFIGURATION = common.ROOT / "docs/configuration.md"
# The shared tier with nothing but what is required.
SHARED = {"url": "redis://valkey:6379", "existingSecret": "secret"}


def allowed(rule):
    """The ports of a NetworkPolicy's rule."""
    return {port["port"] for port in rule["ports"]}


# Other words than the defaults of keys that `everything-values.yaml` does not change.
WORDS = {"": "/roots/ca.pem", "mask": "keep", "beta": "v1.0", "info": "warn", "json": "text", "misses": "all"}


def another(value):
    """A number, a duration or a size beside the value, or another word."""
    if value in WORDS:
        return WORDS[value]
    number, unit = re.fullmatch(r"(\d+)(\w*)", str(value)).groups()
    other = int(number) - 1 or 2
    return f"{other}{unit}" if unit else other


class Exposure(unittest.TestCase):
    def test_by_default_nothing_leads_in_from_outside_and_a_policy_is_on(self):
        objects = common.shape(DEFAULT)
        self.assertFalse(common.kinds(objects) & {"Ingress", "HTTPRoute"})
        self.assertEqual(
            {o["spec"]["type"] for o in objects if o["kind"] == "Service" and "type" in o["spec"]}, {"ClusterIP"}
        )
        self.assertEqual(common.one(objects, "NetworkPolicy")["spec"]["policyTypes"], ["Ingress", "Egress"])

    def test_the_admin_port_has_a_service_of_its_own_without_an_address(self):
        for shape in common.SHAPES:
            objects = common.shape(shape)
            data, admin = (
                common.one(objects, "Service", end)["spec"]
                for end in (common.one(objects, "Deployment")["metadata"]["name"], "-admin")
            )
            self.assertEqual([port["targetPort"] for port in admin["ports"]], ["admin"])
            self.assertEqual(admin["clusterIP"], "None")
            self.assertNotIn("admin", [port["targetPort"] for port in data["ports"]])

    def test_ingress_and_route_lead_to_the_data_port_alone(self):
        objects = common.shape(EVERYTHING)
        data = common.one(objects, "Service", common.one(objects, "Deployment")["metadata"]["name"])
        [rule] = common.one(objects, "Ingress")["spec"]["rules"]
        backend = rule["http"]["paths"][0]["backend"]["service"]
        self.assertEqual(backend, {"name": data["metadata"]["name"], "port": {"name": "https"}})
        [rule] = common.one(objects, "HTTPRoute")["spec"]["rules"]
        self.assertEqual(rule["backendRefs"], [{"name": data["metadata"]["name"], "port": 443}])

    def test_callers_reach_the_data_port_only_and_monitoring_the_admin_port_only(self):
        rules = common.one(common.shape(EVERYTHING), "NetworkPolicy")["spec"]["ingress"]
        callers, monitoring, tests, _ = rules
        self.assertEqual((allowed(callers), allowed(monitoring), allowed(tests)), ({8443}, {9191}, {8443, 9191}))
        self.assertIn("sign-up", str(callers["from"]))
        self.assertIn("monitoring", str(monitoring["from"]))

    def test_a_policy_without_callers_has_no_rule_that_lets_everybody_in(self):
        values = {"networkPolicy": {"callers": [], "monitoringNamespaces": [], "dns": [], "graph": []}}
        policy = common.one(common.render(values), "NetworkPolicy")["spec"]
        self.assertEqual(len(policy["ingress"]), 1)
        self.assertEqual(
            policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"], "test"
        )
        self.assertFalse(policy["egress"])

    def test_out_go_dns_and_graph_and_no_more_unless_it_is_said(self):
        ports = lambda objects: [allowed(rule) for rule in common.one(objects, "NetworkPolicy")["spec"]["egress"]]
        self.assertEqual(ports(common.shape(DEFAULT)), [{53}, {443}])
        self.assertEqual(ports(common.shape(EVERYTHING)), [{53}, {8443}, {4318}, {6380, 26380}])

    def test_the_store_is_reached_at_the_ports_of_its_url(self):
        ports = {
            "redis://valkey": {6379},
            "rediss://valkey.example:6380/3": {6380},
            "redis://[::1]:7000": {7000},
            "redis://a:7001,redis://b:7002/": {7001, 7002},
            "rediss+cluster://a,b:7000,c:7000": {6379, 7000},
            "redis+sentinel://a,b:26380/main": {26379, 26380, 6379},
        }
        for url, expected in ports.items():
            with self.subTest(url):
                values = {"shared": {**SHARED, "url": url}, "networkPolicy": {"shared": {"to": [{"podSelector": {}}]}}}
                rule = common.one(common.render(values), "NetworkPolicy")["spec"]["egress"][-1]
                self.assertEqual((allowed(rule), rule["to"]), (expected, [{"podSelector": {}}]))

    def test_no_store_is_reached_unless_its_peers_are_named(self):
        rules = lambda **values: common.one(common.render(values), "NetworkPolicy")["spec"]["egress"]
        self.assertEqual(len(rules(shared=SHARED)), 2)
        self.assertEqual(len(rules(networkPolicy={"shared": {"to": [{"podSelector": {}}]}})), 2)

    def test_graph_is_no_private_address(self):
        graph = common.one(common.shape(DEFAULT), "NetworkPolicy")["spec"]["egress"][1]["to"]
        self.assertIn("169.254.0.0/16", graph[0]["ipBlock"]["except"])
        self.assertIn("10.0.0.0/8", graph[0]["ipBlock"]["except"])


class Shared(unittest.TestCase):
    def files(self, objects):
        """The keys of the Secret of the shared tier, by the path of the file in the container."""
        [mount] = [m for m in common.container_of(objects)["volumeMounts"] if m["name"] == "shared"]
        [volume] = [v for v in common.pod_of(objects)["spec"]["volumes"] if v["name"] == "shared"]
        self.assertEqual((volume["secret"]["defaultMode"], mount["readOnly"]), (0o440, True))
        # With a subPath a changed Secret would not be seen.
        self.assertNotIn("subPath", mount)
        return {f"{mount['mountPath']}/{item['path']}": item["key"] for item in volume["secret"]["items"]}

    def test_the_files_of_the_secret_are_those_that_the_configuration_names(self):
        keys = {"secret_file": "shared.secret", "password_file": "shared.password"}
        keys |= {"ca_file": "ca.crt", "certificate": "tls.crt", "key": "tls.key"}
        objects = common.shape(EVERYTHING)
        section = tomllib.loads(common.config_of(objects))["shared"]
        files = self.files(objects)
        self.assertEqual({name: files[section[name]] for name in keys}, keys)
        self.assertEqual(len(files), len(keys))

    def test_files_that_are_not_named_are_not_mounted(self):
        objects = common.render({"shared": SHARED})
        section = tomllib.loads(common.config_of(objects))["shared"]
        self.assertEqual(list(self.files(objects)), [section["secret_file"]])
        self.assertFalse({"password_file", "ca_file", "certificate", "key", "username"} & set(section))

    def test_without_a_url_there_is_no_tier(self):
        objects = common.render({"shared": {"existingSecret": "a", "caKey": "ca.crt"}})
        self.assertNotIn("shared", tomllib.loads(common.config_of(objects)))
        self.assertNotIn("shared", str(common.pod_of(objects)))

    def test_callers_stay_with_their_pod_if_that_is_wanted(self):
        service = lambda **values: common.one(common.render({"service": values}), "Service", "connector-cache")["spec"]
        self.assertEqual(service()["sessionAffinity"], "None")
        self.assertEqual(service(sessionAffinity="ClientIP")["sessionAffinity"], "ClientIP")


class Pods(unittest.TestCase):
    def test_by_default_every_pod_passes_the_restricted_standard(self):
        objects = common.shape(DEFAULT)
        pods = [common.pod_of(objects)["spec"]] + [o["spec"] for o in objects if o["kind"] == "Pod"]
        self.assertEqual(len(pods), 4)
        for pod in pods:
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertGreater(pod["securityContext"]["runAsUser"], 0)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertIs(pod["automountServiceAccountToken"], False)
            self.assertIs(pod["enableServiceLinks"], False)
            for forbidden in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
                self.assertNotIn(forbidden, pod)
            for container in pod["containers"]:
                self.assertEqual(
                    container["securityContext"],
                    {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                )
                self.assertEqual(set(container["resources"]), {"requests", "limits"})

    def test_the_service_account_mounts_no_token(self):
        self.assertIs(common.one(common.shape(DEFAULT), "ServiceAccount")["automountServiceAccountToken"], False)

    def test_probes_ask_the_admin_port(self):
        container = common.container_of(common.shape(DEFAULT))
        paths = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
        live, ready = {"path": "/livez", "port": "admin"}, {"path": "/readyz", "port": "admin"}
        self.assertEqual(paths, {"startup": live, "readiness": ready, "liveness": live})

    def test_pods_are_replaced_when_a_key_changes_that_needs_a_restart_and_only_then(self):
        other = common.yaml.safe_load(EVERYTHING.read_text())["config"]
        whole = {"resources": {"limits": {"memory": "64Gi"}}, "terminationGracePeriodSeconds": 3600}
        base = {helm: common.render(whole, helm=helm) for helm in common.HELMS}
        applied = dict(re.findall(r"^\| `([a-z0-9_.]+)` \|.*\| (reload|restart) \|", CONFIGURATION.read_text(), re.M))
        default = common.yaml.safe_load((common.CHART / "values.yaml").read_text())["config"]
        keys = [(section, key) for section, keys in default.items() for key in keys]
        self.assertLessEqual({f"{section}.{key}" for section, key in keys}, set(applied))
        for number, (section, key) in enumerate(keys):
            value = other[section].get(key, default[section][key])
            if value == default[section][key]:
                value = another(value)
            helm = common.HELMS[number % 2]
            changed = common.render({**whole, "config": {section: {key: value}}}, helm=helm)
            with self.subTest(f"{section}.{key}", value=value):
                self.assertNotEqual(common.config_of(changed), common.config_of(base[helm]))
                same = common.pod_of(changed) == common.pod_of(base[helm])
                self.assertEqual(same, applied[f"{section}.{key}"] == "reload")

    def test_pods_are_replaced_when_another_value_changes_the_configuration(self):
        checksum = lambda **values: common.pod_of(common.render(values))["metadata"]["annotations"]["checksum/config"]
        self.assertEqual(checksum(), checksum(replicaCount=5))
        self.assertNotEqual(checksum(), checksum(cloud="china"))
        self.assertNotEqual(checksum(), checksum(admin={"existingSecret": "admin"}))
        # A live key does not hide a change beside it.
        both = {"cache": {"ttl": "6m", "freshness": "origin"}}
        self.assertNotEqual(checksum(), checksum(config=both))
        self.assertEqual(checksum(config=both), checksum(config={"cache": {"ttl": "5m", "freshness": "origin"}}))
        # The default and its absence are the same file for a live key.
        self.assertEqual(checksum(), checksum(config={"cache": {"ttl": None}, "log": {"access": None}}))

    def test_the_configuration_is_mounted_whole_so_that_a_running_pod_receives_it(self):
        for shape in common.SHAPES:
            [mount] = [m for m in common.container_of(common.shape(shape))["volumeMounts"] if m["name"] == "config"]
            self.assertNotIn("subPath", mount)

    def test_secrets_are_mounted_whole_so_that_they_are_renewed(self):
        objects = common.shape(TLS)
        mounts = {mount["name"]: mount for mount in common.container_of(objects)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in common.pod_of(objects)["spec"]["volumes"]}
        for name in ("tls", "admin"):
            self.assertNotIn("subPath", mounts[name])
            self.assertTrue(mounts[name]["readOnly"])
            self.assertEqual(volumes[name]["secret"]["defaultMode"], 0o440)

    def test_pods_spread_by_their_own_labels_unless_it_is_said_otherwise(self):
        constraints = common.pod_of(common.shape(DEFAULT))["spec"]["topologySpreadConstraints"]
        own = common.one(common.shape(DEFAULT), "Deployment")["spec"]["selector"]
        self.assertEqual([constraint["labelSelector"] for constraint in constraints], [own, own])
        [constraint] = common.pod_of(common.shape(EVERYTHING))["spec"]["topologySpreadConstraints"]
        self.assertEqual(constraint["labelSelector"], {"matchLabels": {"team": "identity"}})

    def test_another_strategy_than_rolling_stands_alone(self):
        strategy = common.one(common.render({"strategy": {"type": "Recreate"}}), "Deployment")["spec"]["strategy"]
        self.assertEqual(strategy, {"type": "Recreate"})

    def test_an_annotation_of_the_values_does_not_take_the_place_of_the_checksum(self):
        annotations = common.pod_of(common.render({"podAnnotations": {"checksum/config": "a", "b": "c"}}))["metadata"]
        self.assertEqual(annotations["annotations"]["b"], "c")
        self.assertRegex(annotations["annotations"]["checksum/config"], "^[0-9a-f]{64}$")

    def test_traffic_stays_near_only_where_kubernetes_knows_the_word(self):
        def said(word, kube):
            objects = common.render({"service": {"trafficDistribution": word}}, kube=kube)
            return common.one(objects, "Service", "-cache")["spec"].get("trafficDistribution")

        self.assertEqual([said("PreferClose", kube) for kube in ("1.30.9", "1.31.0")], [None, "PreferClose"])
        self.assertEqual([said("PreferSameNode", kube) for kube in ("1.33.9", "1.34.0")], [None, "PreferSameNode"])

    def test_a_digest_goes_before_a_tag_and_no_tag_is_the_charts_version(self):
        image = lambda **image: common.container_of(common.render({"image": image}))["image"]
        digest = "sha256:" + "0" * 64
        self.assertEqual(image(), f"connector-cache:{common.VERSION}")
        self.assertEqual(image(tag="edge"), "connector-cache:edge")
        self.assertEqual(image(tag="edge", digest=digest), f"connector-cache@{digest}")


class Numbers(unittest.TestCase):
    def test_the_grace_period_leaves_what_the_binary_takes_after_its_drain(self):
        seconds = 0
        for file, pattern in AFTER_THE_DRAIN.items():
            found = re.findall(pattern, (common.ROOT / "src" / file).read_text())
            self.assertTrue(found, file)
            seconds += sum(map(int, found))
        config = common.yaml.safe_load((common.CHART / "values.yaml").read_text())["config"]["drain"]
        drain = sum(int(value.removesuffix("s")) for value in config.values())
        grace = common.pod_of(common.shape(DEFAULT))["spec"]["terminationGracePeriodSeconds"]
        self.assertLessEqual(seconds, 5)
        self.assertGreaterEqual(grace, drain + seconds)

    def test_a_rollout_never_has_fewer_pods_than_there_should_be(self):
        spec = common.one(common.shape(DEFAULT), "Deployment")["spec"]
        self.assertEqual(spec["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})
        # Readiness falls at once on SIGTERM; the delay must outlast the probes that see it.
        probe = common.container_of(common.shape(DEFAULT))["readinessProbe"]
        seen = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
        delay = common.yaml.safe_load((common.CHART / "values.yaml").read_text())["config"]["drain"]["delay"]
        self.assertLess(seen, int(delay.removesuffix("s")))

    def test_a_disruption_budget_is_there_only_with_more_than_one_pod(self):
        has = lambda **values: "PodDisruptionBudget" in common.kinds(common.render(values))
        self.assertTrue(has(replicaCount=2))
        self.assertFalse(has(replicaCount=1))
        self.assertFalse(has(replicaCount=5, autoscaling={"enabled": True, "minReplicas": 1}))
        self.assertTrue(has(replicaCount=1, autoscaling={"enabled": True, "minReplicas": 2}))
        self.assertFalse(has(podDisruptionBudget={"enabled": False}))

    def test_a_budget_of_zero_pods_is_a_budget(self):
        spec = common.one(common.render({"podDisruptionBudget": {"minAvailable": 0}}), "PodDisruptionBudget")["spec"]
        self.assertEqual((spec["minAvailable"], "maxUnavailable" in spec), (0, False))

    def test_the_autoscaler_alone_says_how_many_pods_there_are(self):
        objects = common.shape(common.CHART / "ci/hpa-values.yaml")
        self.assertNotIn("replicas", common.one(objects, "Deployment")["spec"])
        target = common.one(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"]
        self.assertEqual(target, common.one(objects, "Deployment")["metadata"]["name"])


class Tests(unittest.TestCase):
    def test_helm_test_asks_for_readiness_metrics_and_a_401(self):
        pods = {o["metadata"]["name"].split("-test-")[1] for o in common.shape(DEFAULT) if o["kind"] == "Pod"}
        self.assertEqual(pods, {"ready", "metrics", "token"})

    def test_helm_test_does_not_ask_where_it_had_to_show_a_certificate(self):
        pods = {o["metadata"]["name"].split("-test-")[1] for o in common.shape(TLS) if o["kind"] == "Pod"}
        self.assertEqual(pods, {"ready", "metrics"})

    def test_a_test_that_fails_has_failed_before_helm_gives_up_waiting(self):
        for pod in (o for o in common.shape(DEFAULT) if o["kind"] == "Pod"):
            [script] = pod["spec"]["containers"][0]["args"]
            # Without a delay curl waits twice as long each time.
            said = re.search(r"--retry (\d+) --retry-delay (\d+) .*--max-time (\d+)", script)
            tries, delay, each = map(int, said.groups())
            self.assertLess(tries * (delay + each) + each, HELMS_PATIENCE)

    def notes(self, *more):
        command = [common.TOOLS / "bin/helm4", "install", "rel", common.CHART, "--dry-run=client", "--namespace", "ns"]
        done = common.run(*command, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split("NOTES:")[1]

    def test_the_notes_name_the_url_and_the_next_command(self):
        notes = self.notes("--set", "cloud=usgov-l4", "--set", "config.graph.default_version=v1.0")
        for line in (
            "http://rel-connector-cache.ns.svc:8080",
            "helm test rel --namespace ns",
            "graph.microsoft.us",
            "beta only",
        ):
            self.assertIn(line, notes)

    def test_the_notes_warn_of_limits_that_do_not_fit_into_the_memory(self):
        self.assertNotIn("WARNING", self.notes())
        self.assertIn("needs up to 612 MiB", self.notes("--set", "config.limits.bytes_in_flight=100MiB"))
        self.assertIn("limits.memory is 256Mi", self.notes("--set", "resources.limits.memory=256Mi"))
        fewer = ["--set", "config.limits.connections=500", "--set", "resources.limits.memory=256Mi"]
        self.assertNotIn("WARNING", self.notes(*fewer))
        self.assertNotIn("WARNING", self.notes("--set", "resources=null"))

    def test_the_notes_warn_of_what_renders_and_does_not_work(self):
        route = ["httpRoute.enabled=true", "httpRoute.parentRefs[0].name=gateway"]
        warned = {
            "no caller can connect": ["networkPolicy.callers=null"],
            "name the namespace of its controller": route,
            "Prometheus cannot connect": ["serviceMonitor.enabled=true", "networkPolicy.monitoringNamespaces=null"],
            "cannot be drained": ["podDisruptionBudget.minAvailable=2"],
            "cannot reach redis://valkey": ["shared.url=redis://valkey", "shared.existingSecret=secret"],
        }
        for words, values in warned.items():
            with self.subTest(words):
                self.assertIn(words, self.notes("--set", ",".join(values)))
        well = [*route, "networkPolicy.callerNamespaces[0]=gateways", "serviceMonitor.enabled=true"]
        self.assertNotIn("WARNING", self.notes("--set", ",".join(well)))
        self.assertIn("cannot be drained", self.notes("--set", "podDisruptionBudget.maxUnavailable=0"))
        self.assertNotIn("WARNING", self.notes("--set", "podDisruptionBudget.minAvailable=1"))

    def test_the_notes_warn_of_a_share_of_nothing(self):
        nothing = ["--set", "resources.requests.cpu=null", "--set", "resources.limits.cpu=null"]
        self.assertNotIn("WARNING", self.notes("--set", "autoscaling.enabled=true"))
        self.assertIn("neither a request nor a limit is set", self.notes("--set", "autoscaling.enabled=true", *nothing))

    def test_with_tls_a_connection_at_work_takes_more(self):
        with_tls = lambda memory: self.notes("--set", f"tls.existingSecret=tls,resources.limits.memory={memory}")
        self.assertIn("needs up to 654 MiB", with_tls("653Mi"))
        self.assertIn("44 KiB for each", with_tls("653Mi"))
        self.assertNotIn("WARNING", with_tls("654Mi"))

    def test_a_connection_at_work_is_counted_as_it_was_measured_and_as_no_less_than_one_at_rest(self):
        [plain, tls] = re.findall(r"ternary (\d+) (\d+) ", (common.CHART / "templates/_check.tpl").read_text())[0][::-1]
        measured = (common.ROOT / "docs/performance.md").read_text()
        self.assertIn(f"3.1 KiB ({plain}.0 KiB before ", measured)
        self.assertIn(f"18.0 KiB ({tls}.0 KiB before)", measured)
        [kib] = re.findall(r"const MOST_KIB: f64 = (\d+)\.0", (common.ROOT / "tests/load/memory.rs").read_text())
        self.assertGreaterEqual(int(plain), int(kib))


if __name__ == "__main__":
    unittest.main()
