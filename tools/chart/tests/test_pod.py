"""The rendered Deployment runs, and the pods of `helm test` pass on it. Left out where podman or the image is not to
be had."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import common
import pods

sys.path.insert(0, str(common.ROOT / "tools/monitoring"))

import testbed  # noqa: E402

RELEASE = f"chart-test-{os.getpid()}"
POD = f"{RELEASE}-connector-cache-pod-0"
# Longer than the scripts of `helm test` try.
PATIENCE = 120
CURL = f"localhost/chart-test-curl:{os.getpid()}"


class Pod(unittest.TestCase):
    """A pod before the stand-in for Graph, for the tests of a class."""

    @classmethod
    def setUpClass(cls):
        reason = pods.why_not()
        if reason:
            print(f"\nthe rendered Deployment was not run: {reason}", file=sys.stderr)
            raise unittest.SkipTest(reason)
        # Graph's stand-in, which the image does not have, and tokens for it.
        demo = testbed.running(common.BINARY, "demo", stdout=subprocess.PIPE, text=True)
        cls.demo = testbed.Demo(cls.enterClassContext(demo))
        data, admin = pods.free_ports(2)
        cls.urls = {"http": f"http://127.0.0.1:{data}", "admin": f"http://127.0.0.1:{admin}"}
        values = pods.values(cls.demo.graph, data, admin, drain={"delay": "200ms"})
        # Without a cluster a Service's port is the pod's.
        values |= {"service": {"port": data}, "adminService": {"port": admin}}
        repository, tag = CURL.split(":")
        values["tests"] = {"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}}
        cls.objects = common.render(values, name=RELEASE)
        cls.enterClassContext(pods.played(pods.playable(common.render(values, name=RELEASE)), POD))
        testbed.wait_for(f"{cls.urls['admin']}/readyz")


class Life(Pod):
    def play(self, name, url=None):
        """Exit code and words of a test pod as it is rendered, but for another URL where one is given."""
        [pod] = [o for o in self.objects if o["metadata"]["name"].endswith(f"-test-{name}")]
        if url:
            [container] = pod["spec"]["containers"]
            changed = {**container, "env": [{"name": "URL", "value": url}]}
            pod = {**pod, "spec": {**pod["spec"], "containers": [changed]}}
        hosts = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "hosts"
        hosts.write_text("".join(f"127.0.0.1 {RELEASE}-connector-cache{end}.ns.svc\n" for end in ("", "-admin")))
        with pods.played([pods.knowing(pod, hosts)], pod["metadata"]["name"]) as played:
            container = pods.container_in(played)
            code = pods.podman("wait", container, timeout=PATIENCE).stdout.strip()
            said = pods.podman("logs", container)
            return code, said.stdout + said.stderr

    def test_the_pods_of_helm_test_pass_on_it_and_one_fails_on_what_is_no_data_port(self):
        with pods.image_with_curl(CURL):
            for name, words in {"ready": "ready", "metrics": "build_info", "token": "401"}.items():
                with self.subTest(name):
                    code, said = self.play(name)
                    self.assertEqual(code, "0", said)
                    self.assertIn(words, said)
            # The others ask again and again before they fail.
            code, said = self.play("token", self.urls["admin"])
            self.assertEqual((code, said), ("1", "without a token: 404\n"))

    def test_it_answers_from_graph_and_then_from_memory_without_the_credentials(self):
        token = self.demo.tokens[0]
        (miss, first), (hit, second) = (self.ask(token) for _ in range(2))
        self.assertIn("fwd=uri-miss; fwd-status=200; stored", miss)
        self.assertTrue(hit.startswith("connector-cache; hit; ttl="), hit)
        self.assertEqual(first, second)
        self.assertIn(b"******", first)

    def ask(self, token):
        """Cache-Status and body of a read."""
        request = urllib.request.Request(
            self.urls["http"] + self.demo.path, headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=testbed.DEADLINE) as answer:
            return answer.headers["Cache-Status"], answer.read()

    def test_it_is_as_restricted_as_the_values_say(self):
        container = pods.container_in(POD)
        status = pathlib.Path(f"/proc/{pods.inspect(container, 'State.Pid')}/status").read_text()
        self.assertRegex(status, r"(?m)^Uid:\s+65532\s")
        self.assertRegex(status, r"(?m)^CapEff:\s+0+$")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
        limit = common.container_of(self.objects)["resources"]["limits"]["memory"]
        self.assertEqual(int(pods.inspect(container, "HostConfig.Memory")), int(limit.removesuffix("Mi")) << 20)
        self.assertEqual(pods.inspect(container, "HostConfig.ReadonlyRootfs"), "true")


class End(Pod):
    def test_told_to_stop_it_ends_cleanly(self):
        container = pods.container_in(POD)
        done = pods.podman("stop", "--time", "20", container)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(pods.inspect(container, "State.ExitCode"), "0")


if __name__ == "__main__":
    unittest.main()
