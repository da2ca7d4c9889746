"""The unit of config/systemd under a real systemd: start with credentials, reload, restart, stop."""

import os
import pathlib
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = ROOT / "target/debug/connector-cache"
NAMESPACES = ["--fork", "--pid", "--mount", "--net", "--ipc", "--uts", "--cgroup", "--kill-child"]
CONFIG = "/etc/connector-cache/connector-cache.toml"
DROP_IN = """[Service]
LoadCredential=admin-token:/etc/connector-cache/admin-token
Environment=CONNECTOR_CACHE__ADMIN__TOKEN_FILE=%d/admin-token
Environment=CONNECTOR_CACHE__DRAIN__DELAY=0s
"""
TRIES = 200


class Machine:
    """A systemd in namespaces of its own."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        boot = ["unshare", *NAMESPACES, ROOT / "tools/systemd/boot.sh", self.folder.name]
        self.process = subprocess.Popen(boot, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def started(self):
        """Whether systemd runs. False if the machine or the kernel does not allow it."""
        for _ in range(TRIES):
            if self.process.poll() is not None:
                return False
            if self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
                return True
            time.sleep(0.1)
        return False

    def run(self, *command, text=None, file=None):
        """Runs a command inside, with a text or an open file as its input."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if not children:
            return subprocess.CompletedProcess(command, 1, "", "systemd has not started")
        inside = ["nsenter", "-t", children[0], "-p", "-m", "-n", "-i", "-u", "-C", "-r", "-w", *command]
        source = {"input": text} if file is None else {"stdin": file}
        return subprocess.run(inside, capture_output=True, text=True, timeout=60, **source)

    def write(self, path, text, mode="0644"):
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, text=text)

    def stop(self):
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip", "systemctl", "curl")):
            raise unittest.SkipTest("a systemd of its own needs root, systemd, iproute2 and curl")
        cls.machine = Machine()
        cls.addClassCleanup(cls.machine.stop)
        if not cls.machine.started():
            raise unittest.SkipTest("systemd does not start in namespaces of its own here")
        cls.token = secrets.token_hex(16)
        # As an open file: inside, /tmp is another folder, and the project may be below it.
        with BINARY.open("rb") as binary:
            cls.machine.run("install", "-m", "0755", "/dev/stdin", "/usr/local/bin/connector-cache", file=binary)
        unit = (ROOT / "config/systemd/connector-cache.service").read_text()
        cls.machine.write("/etc/systemd/system/connector-cache.service", unit)
        cls.machine.write("/etc/systemd/system/connector-cache.service.d/local.conf", DROP_IN)
        cls.machine.write("/etc/connector-cache/admin-token", cls.token, "0600")

    def setUp(self):
        self.machine.write(CONFIG, 'cache.ttl = "5m"\n')
        self.systemctl("daemon-reload")
        self.systemctl("reset-failed")
        done = self.systemctl("restart")
        self.assertEqual(done.returncode, 0, done.stderr + self.journal())
        self.wait("the proxy is ready", lambda: self.get("/readyz") == "200")

    def systemctl(self, verb):
        return self.machine.run("systemctl", verb, *(["connector-cache"] if verb != "daemon-reload" else []))

    def journal(self):
        return self.machine.run("journalctl", "--no-pager", "-n", "20", "-u", "connector-cache").stdout

    def property(self, name):
        return self.machine.run("systemctl", "show", "-p", name, "--value", "connector-cache").stdout.strip()

    def get(self, path, token=None):
        """The status of a response of the admin port."""
        field = ["-H", f"Authorization: Bearer {token}"] if token else []
        url = f"http://127.0.0.1:9090{path}"
        return self.machine.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *field, url).stdout

    def setting(self):
        """The value of cache.ttl in force."""
        data = self.machine.run("curl", "-s", "-H", f"Authorization: Bearer {self.token}", "http://127.0.0.1:9090/cache").stdout
        return re.search(r'"cache.ttl":"(\w+)"', data)[1]

    def wait(self, event, has_happened):
        for _ in range(TRIES):
            if has_happened():
                return
            time.sleep(0.05)
        self.fail(f"not within {TRIES / 20} s: {event}\n{self.journal()}")

    def test_the_proxy_reads_its_credential_and_has_no_privileges(self):
        self.assertEqual((self.get("/cache"), self.get("/cache", self.token)), ("401", "200"))
        status = self.machine.run("cat", f"/proc/{self.property('MainPID')}/status").stdout
        self.assertNotRegex(status, r"(?m)^Uid:\s+0\b")
        for line in (r"CapEff:\s+0+$", r"NoNewPrivs:\s+1$", r"Seccomp:\s+2$"):
            self.assertRegex(status, f"(?m)^{line}")

    def test_a_reload_changes_the_settings_and_fails_where_they_are_refused(self):
        self.machine.write(CONFIG, 'cache.ttl = "7m"\n')
        self.assertEqual(self.systemctl("reload").returncode, 0)
        self.wait("the new setting is in force", lambda: self.setting() == "7m")
        before = self.property("MainPID")
        self.machine.write(CONFIG, "cache.ttl = 7\n")
        self.assertNotEqual(self.systemctl("reload").returncode, 0)
        self.assertIn("cache.ttl = 7 is refused", self.journal())
        self.assertEqual((self.setting(), self.property("MainPID")), ("7m", before))

    def test_a_start_with_a_refused_configuration_is_not_repeated(self):
        self.machine.write(CONFIG, "cache.ttl = 7\n")
        self.systemctl("restart")
        self.wait("the unit has failed", lambda: self.property("ActiveState") == "failed")
        self.assertEqual((self.property("ExecMainStatus"), self.property("NRestarts")), ("64", "0"))

    def test_a_killed_process_is_started_again(self):
        killed = self.property("MainPID")
        self.machine.run("kill", "-9", killed)
        self.wait("another process serves", lambda: self.get("/readyz") == "200" and self.property("MainPID") != killed)
        self.assertEqual(self.property("NRestarts"), "1")

    def test_a_stop_is_a_clean_end(self):
        self.assertEqual(self.systemctl("stop").returncode, 0)
        self.assertEqual((self.property("Result"), self.property("ExecMainStatus")), ("success", "0"))


if __name__ == "__main__":
    unittest.main()
