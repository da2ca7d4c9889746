"""The unit of config/systemd: valid, with a low exposure, and with room for everything that the proxy does."""

import contextlib
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
import tomllib
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
UNIT = (ROOT / "config/systemd/connector-cache.service").read_text()
BINARY = ROOT / "target/debug/connector-cache"
INSTALLED = "/usr/local/bin/connector-cache"
# Tenths of what systemd-analyze calls the exposure: below 2 is "OK", the best of its ratings.
EXPOSURE = 15
DEADLINE = 60


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def values(key, unit=UNIT):
    return re.findall(rf"^{key}=(.*)$", unit, re.M)


def with_secrets():
    """The unit with every secret in use."""
    return re.sub(r"^#(LoadCredential|Environment)=", r"\1=", UNIT, flags=re.M)


@contextlib.contextmanager
def installed(unit):
    """A file of the unit that names the binary of this build."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "connector-cache.service"
        file.write_text(unit.replace(INSTALLED, str(BINARY)))
        yield file


class Unit(unittest.TestCase):
    def test_the_time_to_stop_covers_the_drain_of_the_defaults(self):
        drain = tomllib.loads((ROOT / "config/default.toml").read_text())["drain"]
        seconds = sum(int(drain[key].removesuffix("s")) for key in ("delay", "timeout"))
        [stop] = values("TimeoutStopSec")
        self.assertGreater(int(stop.removesuffix("s")), seconds)

    def test_a_refused_configuration_is_not_tried_again(self):
        done = run(BINARY, "serve", "--config", "/nonexistent.toml", env={})
        self.assertEqual([str(done.returncode)], values("RestartPreventExitStatus"))

    def test_every_secret_has_the_key_that_reads_it(self):
        unit = with_secrets()
        credentials = {value.split(":")[0] for value in values("LoadCredential", unit)}
        variables = [word.split("=", 1) for value in values("Environment", unit) for word in value.split()]
        used = {value.removeprefix("%d/") for _, value in variables if value.startswith("%d/")}
        self.assertEqual(credentials, used)
        default = (ROOT / "config/default.toml").read_text()
        for name, _ in variables:
            if name.startswith("CONNECTOR_CACHE__"):
                *_, key = name.lower().split("__")
                self.assertRegex(default, rf"(?m)^#?{key} ", name)

    def test_systemd_finds_nothing_wrong(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here. Debian: apt-get install systemd")
        for unit in (UNIT, with_secrets()):
            with installed(unit) as file:
                done = run("systemd-analyze", "verify", file)
                self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_systemd_finds_a_misspelled_line(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here. Debian: apt-get install systemd")
        with installed(UNIT.replace("ProtectHome=", "ProtectHouse=")) as file:
            self.assertIn("ProtectHouse", run("systemd-analyze", "verify", file).stderr)

    def test_the_exposure_is_low(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here. Debian: apt-get install systemd")
        for unit, expected in ((UNIT, 0), (UNIT.replace("PrivateUsers=yes", ""), 1)):
            with installed(unit) as file:
                done = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", file)
            if "offline" in done.stderr:
                self.skipTest("this systemd-analyze rates no files: it is older than 250")
            self.assertEqual(done.returncode, expected, done.stdout)


class Restrictions(unittest.TestCase):
    """A start, a miss, a hit, a reload, a health check and a stop, seen by strace."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which("strace"):
            raise unittest.SkipTest("strace is not here. Debian: apt-get install strace")
        with contextlib.ExitStack() as stack:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            cls.calls = trace(stack, folder)

    def test_the_filter_allows_every_system_call(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here. Debian: apt-get install systemd")
        sets, allowed = filter_sets(), set()
        for line in values("SystemCallFilter"):
            names = {name for word in line.removeprefix("~").split() for name in members(sets, word)}
            allowed = allowed - names if line.startswith("~") else allowed | names
        used = {name for name, _ in self.calls}
        self.assertGreater(len(used), 20)
        # The kernel calls this one itself after a stop.
        self.assertEqual(used - allowed - {"restart_syscall"}, set())

    def test_no_memory_becomes_executable_that_was_writable(self):
        for name, arguments in self.calls:
            if name == "mmap" and "PROT_EXEC" in arguments:
                self.assertNotIn("PROT_WRITE", arguments)
            if name == "mprotect":
                self.assertNotIn("PROT_EXEC", arguments)

    def test_no_file_is_written(self):
        written = [arguments for name, arguments in self.calls if name in ("open", "openat") and is_written(arguments)]
        self.assertEqual(written, [])

    def test_the_families_of_sockets_are_allowed(self):
        allowed = set(" ".join(values("RestrictAddressFamilies")).split())
        # A call that was interrupted in the log has no arguments in its second half.
        used = {arguments.split(",")[0] for name, arguments in self.calls if name == "socket" and arguments}
        self.assertIn("AF_INET", used)
        self.assertLessEqual(used, allowed)


def is_written(arguments):
    return bool(re.search(r"O_(WRONLY|RDWR|CREAT)", arguments)) and "/dev/null" not in arguments


def filter_sets():
    """Groups of system calls, as this systemd knows them."""
    sets, name = {}, None
    for line in run("systemd-analyze", "syscall-filter").stdout.splitlines():
        if line.startswith("@"):
            name = line.strip()
            sets[name] = []
        elif name and line.strip() and not line.strip().startswith("#"):
            sets[name].append(line.strip())
    return sets


def members(sets, word):
    if not word.startswith("@"):
        return {word}
    return {name for part in sets[word] for name in members(sets, part)}


def trace(stack, folder):
    """System calls of the proxy: names and arguments."""
    data, admin, graph = (free_port() for _ in range(3))
    variables = {
        "CONNECTOR_CACHE__LISTEN__ADDRESS": f"127.0.0.1:{data}",
        "CONNECTOR_CACHE__ADMIN__ADDRESS": f"127.0.0.1:{admin}",
    }
    demo = [BINARY, "demo", "--stand-in", f"127.0.0.1:{graph}"]
    standin = start(stack, *demo, stdout=subprocess.PIPE, text=True, env=variables)
    command = next(shlex.split(line) for line in standin.stdout if line.startswith("curl -si -H"))
    file = folder / "connector-cache.toml"
    # By name, so that the C library resolves it.
    file.write_text(f'[graph]\nbase_url = "http://localhost:{graph}"\n[drain]\ndelay = "0s"\n')
    out = folder / "calls"
    arguments = ["strace", "-f", "-o", out, BINARY, "serve", "--config", file]
    proxy = start(stack, *arguments, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)
    until(lambda: get(f"http://127.0.0.1:{admin}/readyz"))
    for _ in range(2):
        get(command[4], Authorization=command[3].removeprefix("Authorization: "))
    get(f"http://127.0.0.1:{admin}/metrics")
    file.write_text(file.read_text() + '[cache]\nttl = "1m"\n')
    # strace passes no signal on: the first process in its file is the proxy.
    process = int(out.read_text().split()[0])
    os.kill(process, signal.SIGHUP)
    reloaded = 'connector_cache_config_reloads_total{result="success"} 1'
    until(lambda: reloaded in get(f"http://127.0.0.1:{admin}/metrics"))
    os.kill(process, signal.SIGTERM)
    assert proxy.wait(DEADLINE) == 0
    return re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\((.*)| resumed>.*)$", out.read_text(), re.M)


def start(stack, *command, **options):
    process = stack.enter_context(subprocess.Popen([str(part) for part in command], **options))
    stack.callback(process.terminate)
    return process


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=DEADLINE) as response:
        return response.read().decode()


def until(holds):
    deadline = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(OSError):
            if holds():
                return
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
