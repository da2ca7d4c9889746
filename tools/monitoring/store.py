"""A Redis for replicas that share a store: start, faults, and single commands."""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import testbed

TOOLS = testbed.ROOT / "target/tools/usr"


def program():
    """Path of the server: under target/tools, where `make setup` unpacks it, or on the PATH."""
    found = shutil.which("redis-server", path=TOOLS / "bin") or shutil.which("redis-server")
    if not found:
        raise FileNotFoundError("redis-server is not here: run tools/setup.sh")
    return found


def secret(folder, name):
    """A file with a new secret of an installation."""
    file = pathlib.Path(folder) / name
    file.write_text(secrets.token_hex(32) + "\n")
    return file


class Store:
    """A server without persistence, on a free port."""

    def __init__(self, stack):
        self.folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.port, self.process = testbed.free_port(), None
        stack.callback(self.kill)
        self.start()

    @property
    def url(self):
        return f"redis://{testbed.HOST}:{self.port}"

    def start(self):
        # Libraries of the program that `make setup` unpacked.
        variables = {**os.environ, "LD_LIBRARY_PATH": str(TOOLS / "lib/redis")}
        arguments = ["--port", str(self.port), "--bind", testbed.HOST, "--save", "", "--dir", self.folder]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([program(), *arguments], env=variables, **quiet)
        deadline = time.monotonic() + testbed.DEADLINE
        while True:
            with contextlib.suppress(OSError):
                self.command("PING")
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"redis-server does not answer at {self.url}")
            time.sleep(0.02)

    def kill(self):
        if self.process:
            # A frozen process does not end by SIGTERM.
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def command(self, *words):
        """Sends a command, and returns the reply: a text, a number, None, or a list of them."""
        with socket.create_connection((testbed.HOST, self.port), timeout=5) as connection:
            parts = [part if isinstance(part, bytes) else str(part).encode() for part in words]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with connection.makefile("rb") as replies:
                return read(replies)


def read(replies):
    """One value of the protocol RESP2."""
    line = replies.readline()
    if not line:
        raise ConnectionError("the store closed the connection")
    kind, text = line[:1], line[1:-2]
    if kind == b"*":
        return [read(replies) for _ in range(int(text))]
    if kind == b"$":
        return None if int(text) < 0 else replies.read(int(text) + 2)[:-2]
    if kind == b"-":
        raise ValueError(text.decode())
    return int(text) if kind == b":" else text
