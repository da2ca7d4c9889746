"""The services of compose.yaml as processes, without containers: the same commands and files, other addresses and paths.

Grafana is no package of Debian, PyPI or npm, so it does not run here; test_file checks the shape of its files.
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import common

BINARY = common.ROOT / "target/debug/connector-cache"
LIBRARIES = common.ROOT / "target/tools/usr/lib/redis"
HOST = "127.0.0.1"
DEADLINE = 60
# Below the ports that the system gives to outgoing connections.
PORTS = range(20000, 30000)


class Set:
    """Running services. Addresses and paths of the containers are replaced in each text."""

    def __init__(self, stack):
        self.stack = stack
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = iter(free_ports(5))
        self.data, self.admin, self.graph, self.store, self.web = (f"{HOST}:{next(ports)}" for _ in range(5))
        self.replaced = {
            f"{HOST}:8100": self.graph,
            "valkey:6379": self.store,
            "proxy:9090": self.admin,
            "/etc/connector-cache": str(self.folder),
            "/run/connector-cache": str(self.folder),
            "/etc/prometheus": str(self.folder),
            "/prometheus": str(self.folder / "data"),
            "/secret": str(self.folder),
        }

    def text(self, text):
        # One pass over whole names, so that a replaced text is not replaced again.
        pattern = "|".join(re.escape(old) for old in self.replaced)
        return re.sub(rf"(?<!\w)(?:{pattern})(?![\w.])", lambda found: self.replaced[found[0]], text)

    def command(self, service):
        return [self.text(word) for word in common.SERVICES[service]["command"]]

    def copy_files(self, service):
        """Copies the mounted files of a service to the folder."""
        for place, source in common.mounts(service).items():
            (self.folder / pathlib.PurePath(place).name).write_text(self.text(source.read_text()))

    def environment(self, service):
        """Environment of the service, with the addresses that the image sets."""
        own = {"CONNECTOR_CACHE__LISTEN__ADDRESS": self.data, "CONNECTOR_CACHE__ADMIN__ADDRESS": self.admin}
        written = common.SERVICES[service].get("environment", {})
        return {**os.environ, **own, **{name: self.text(value) for name, value in written.items()}}

    def start(self, service, *command, **variables):
        """Starts a process that ends with the set. Its output goes to a file of the service."""
        out = self.folder / f"{service}.out"
        with out.open("w") as file:
            options = {"stdout": file, "stderr": subprocess.STDOUT, "cwd": self.folder}
            process = subprocess.Popen(command, env={**self.environment(service), **variables}, **options)
        self.stack.callback(end, process)
        return process, out

    def outputs(self):
        return "\n".join(f"{out.name}: {out.read_text()[-2000:]}" for out in self.folder.glob("*.out"))

    def is_healthy(self, service):
        """Runs the health check of a service of this project."""
        _, _, *arguments = map(self.text, common.SERVICES[service]["healthcheck"]["test"])
        return common.run(BINARY, *arguments, env=self.environment(service)).returncode == 0


def free_ports(count):
    with contextlib.ExitStack() as stack:
        found = []
        for port in PORTS[os.getpid() % 5000 :]:
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError("no free ports")


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(holds, what):
    """Waits until the condition holds, and returns its value."""
    deadline = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(OSError, ValueError):
            if value := holds():
                return value
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=DEADLINE) as response:
        return response.headers, response.read()


class Services(unittest.TestCase):
    def test_a_read_goes_through_the_proxy_prometheus_scrapes_it_and_loads_the_rules(self):
        programs = {name: shutil.which(name) for name in ("valkey-server", "prometheus")}
        for name, found in programs.items():
            if not found:
                self.skipTest(f"{name} is not here: run tools/setup.sh")
        with contextlib.ExitStack() as stack:
            services = Set(stack)
            try:
                self.start_all(services, programs)
                self.read(services)
                self.scrape(services)
            except Exception as error:
                raise AssertionError(services.outputs()) from error

    def start_all(self, services, programs):
        """In the order of `depends_on`."""
        # The proxy runs as the user of the tests, so its file keeps this owner.
        owner = services.folder / "bin/chown"
        owner.parent.mkdir()
        owner.write_text("#!/bin/sh\n")
        owner.chmod(0o755)
        shell, *options = common.SERVICES["secret"]["entrypoint"]
        secrets = []
        for _ in ("a first start", "a second start keeps the secret"):
            path = {**os.environ, "PATH": f"{owner.parent}:{os.environ['PATH']}"}
            done = common.run(shell, *options, *services.command("secret"), env=path)
            self.assertEqual(done.returncode, 0, done.stderr)
            secrets.append((services.folder / "shared-secret").read_text())
        self.assertEqual(len(secrets[0]), 64)
        self.assertEqual(*secrets)

        _, *arguments = services.command("valkey")
        host, port = services.store.split(":")
        arguments += ["--bind", host, "--port", port]
        services.start("valkey", programs["valkey-server"], *arguments, LD_LIBRARY_PATH=str(LIBRARIES))

        services.start("graph", BINARY, *services.command("graph"))
        until(lambda: services.is_healthy("graph"), "the stand-in")
        services.copy_files("proxy")
        services.start("proxy", BINARY, *services.command("proxy"))
        until(lambda: services.is_healthy("proxy"), "the proxy")

        services.copy_files("prometheus")
        arguments = [*services.command("prometheus"), f"--web.listen-address={services.web}"]
        services.start("prometheus", programs["prometheus"], *arguments)
        until(lambda: get(f"http://{services.web}/-/ready"), "prometheus")

    def read(self, services):
        """The printed commands: the first one twice, a miss and a hit."""
        lines = (services.folder / "graph.out").read_text().splitlines()
        [command, *_] = [shlex.split(line) for line in lines if line.startswith("curl -si -H")]
        _, _, _, header, url = command
        self.assertIn(services.data, url)
        for expected in ("fwd=uri-miss", "hit"):
            headers, body = get(url, Authorization=header.removeprefix("Authorization: "))
            self.assertIn(expected, headers["Cache-Status"])
            self.assertIn(b"******", body)
        # The replica uses the Valkey of the file.
        state = until(lambda: json.loads(get(f"http://{services.admin}/cache")[1])["shared"], "the state of the store")
        self.assertEqual(state["state"], "live")

    def scrape(self, services):
        def ask(path, **parameters):
            query = urllib.parse.urlencode(parameters)
            return json.loads(get(f"http://{services.web}/api/v1/{path}?{query}")[1])["data"]

        def targets():
            found = ask("targets")["activeTargets"]
            return all(target["health"] == "up" for target in found) and found

        [target] = until(targets, "the target to be up")
        self.assertEqual((target["labels"]["job"], target["labels"]["namespace"]), ("connector-cache", "compose"))
        query = 'connector_cache_requests_total{cache="hit",status="200"} > 0'
        hits = until(lambda: ask("query", query=query)["result"], "a hit")
        self.assertEqual(hits[0]["metric"]["job"], "connector-cache")

        rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        written = common.yaml.safe_load((common.ROOT / "helm/connector-cache/files/rules.yaml").read_text())
        names = {rule.get("alert") or rule["record"] for group in written["groups"] for rule in group["rules"]}
        self.assertEqual({rule["name"] for rule in rules}, names)

        def evaluated():
            health = {rule["health"] for group in ask("rules")["groups"] for rule in group["rules"]}
            return health == {"ok"}

        until(evaluated, "the evaluation of the rules")


if __name__ == "__main__":
    unittest.main()
