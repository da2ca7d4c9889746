"""The rendered Deployment runs, and the scripts of `helm test` pass on it. Left out where podman or the image is not
to be had: `.docker/build` makes the image."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import kit

sys.path.insert(0, str(kit.ROOT / ".monitoring"))

import stage  # noqa: E402

IMAGE = kit.ROOT / "target/image"
ENVIRONMENT = {
    **os.environ,
    "STORAGE_DRIVER": "overlay",
    "CONTAINERS_STORAGE_CONF": str(IMAGE / "storage.conf"),
    "CONTAINERS_CONF": str(IMAGE / "containers.conf"),
}
# What the image is made of.
SOURCES = ("src", "Cargo.toml", "Cargo.lock", "Dockerfile")
RELEASE = f"chart-test-{os.getpid()}"
POD = f"{RELEASE}-connector-cache-pod-0"


def podman(*arguments, **options):
    return kit.run("podman", *arguments, env=ENVIRONMENT, **options)


def why_not():
    if not shutil.which("podman"):
        return "there is no podman"
    if podman("image", "exists", f"localhost/connector-cache:{kit.VERSION}").returncode != 0:
        return f"there is no image connector-cache:{kit.VERSION}; .docker/build makes it"
    label = '{{index .Labels "org.opencontainers.image.revision"}}'
    revision = podman("image", "inspect", "--format", label, f"localhost/connector-cache:{kit.VERSION}").stdout.strip()
    if kit.run("git", "diff", "--quiet", revision, "HEAD", "--", *SOURCES, cwd=kit.ROOT).returncode != 0:
        return f"the image connector-cache:{kit.VERSION} is of other sources; .docker/build makes it anew"
    return None


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()


def playable(objects):
    """What podman can play. Probes it would run by systemd, in the image; ports it maps for networks of its own."""
    for thing in objects:
        if thing["kind"] == "Deployment":
            [container] = thing["spec"]["template"]["spec"]["containers"]
            for key in ("startupProbe", "readinessProbe", "livenessProbe", "ports"):
                del container[key]
    return [o for o in objects if o["kind"] in {"ConfigMap", "Deployment"} and not kit.is_hook(o)]


class Pod(unittest.TestCase):
    """A pod before the stand-in for Graph, for the tests of a class."""

    @classmethod
    def setUpClass(cls):
        reason = why_not()
        if reason:
            print(f"\nthe rendered Deployment was not run: {reason}", file=sys.stderr)
            raise unittest.SkipTest(reason)
        # Graph's stand-in, which the image does not have, and tokens for it.
        demo = stage.running(kit.BINARY, "demo", stdout=subprocess.PIPE, text=True)
        cls.demo = stage.Demo(cls.enterClassContext(demo))
        data, admin = free_ports(2)
        cls.urls = {"http": f"http://127.0.0.1:{data}", "admin": f"http://127.0.0.1:{admin}"}
        values = {
            "replicaCount": 1,
            "image": {"repository": "localhost/connector-cache", "pullPolicy": "Never"},
            "containerPorts": {"data": data, "admin": admin},
            "config": {"drain": {"delay": "200ms"}, "graph": {"base_url": cls.demo.graph}},
        }
        cls.objects = kit.render(values, name=RELEASE)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            kit.yaml.safe_dump_all(playable(kit.render(values, name=RELEASE)), file)
            file.flush()
            done = podman("play", "kube", "--network", "host", file.name)
        cls.addClassCleanup(podman, "pod", "rm", "--force", "--time", "0", POD)
        assert done.returncode == 0, done.stderr
        stage.wait_for(f"{cls.urls['admin']}/readyz")

    def container(self):
        names = podman("ps", "--all", "--filter", f"pod={POD}", "--format", "{{.Names}}").stdout.split()
        [name] = [name for name in names if not re.search("-infra$", name)]
        return name


class Life(Pod):
    def script_of(self, name):
        """The script of a test pod, and the URL it asks, which on this machine is another."""
        [pod] = [o for o in self.objects if o["metadata"]["name"].endswith(f"-test-{name}")]
        [container] = pod["spec"]["containers"]
        self.assertEqual(container["command"], ["sh", "-ec"])
        return container["args"][0], {"URL": self.urls["http" if name == "token" else "admin"]}

    def test_it_runs_and_the_tests_of_helm_pass_on_it(self):
        for name in ("ready", "metrics", "token"):
            with self.subTest(name):
                script, variables = self.script_of(name)
                done = kit.run("sh", "-ec", script, env={"PATH": os.environ["PATH"], **variables})
                self.assertEqual(
                    done.returncode, 0, done.stdout + done.stderr + podman("logs", self.container()).stderr
                )

    def test_the_tests_of_helm_fail_where_nothing_answers_as_it_should(self):
        script, _ = self.script_of("token")
        done = kit.run("sh", "-ec", script, env={"PATH": os.environ["PATH"], "URL": self.urls["admin"]})
        self.assertNotEqual(done.returncode, 0)

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
        with urllib.request.urlopen(request, timeout=stage.DEADLINE) as answer:
            return answer.headers["Cache-Status"], answer.read()

    def test_it_is_as_restricted_as_the_values_say(self):
        pid = podman("inspect", "--format", "{{.State.Pid}}", self.container()).stdout.strip()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        self.assertRegex(status, r"(?m)^Uid:\s+65532\s")
        self.assertRegex(status, r"(?m)^CapEff:\s+0+$")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
        limit = podman("inspect", "--format", "{{.HostConfig.Memory}}", self.container()).stdout.strip()
        self.assertEqual(int(limit), 256 << 20)
        self.assertEqual(
            podman("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", self.container()).stdout.strip(), "true"
        )


class End(Pod):
    def test_told_to_stop_it_ends_cleanly(self):
        name = self.container()
        done = podman("stop", "--time", "20", name)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(podman("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip(), "0")


if __name__ == "__main__":
    unittest.main()
