"""Processes, addresses and requests that the tests of the monitoring share."""

import contextlib
import http.client
import http.server
import json
import pathlib
import shlex
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "helm/connector-cache/files/rules.yaml"
BINARY = ROOT / "target/debug/connector-cache"
HOST = "127.0.0.1"
DEADLINE = 20
# What a Prometheus operator would say of the targets.
LABELS = {"namespace": "identity"}


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(*command, **options):
    """A process that ends with the block."""
    with subprocess.Popen([str(part) for part in command], **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(url):
    """Until the address answers 200."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def wait_until(holds, what):
    deadline = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {what}")
        time.sleep(0.01)


class Demo:
    """The demo, and what it prints of itself."""

    def __init__(self, process):
        self.tokens = []
        for line in process.stdout:
            words = line.split()
            if words[:1] == ["cache"]:
                self.data = words[1]
            elif words[:1] == ["admin"]:
                self.admin = words[1]
            elif words[:1] == ["stand-in"]:
                self.graph = words[1].rstrip(",")
            elif "Authorization: Bearer" in line:
                _, _, _, header, url = shlex.split(line)
                self.tokens.append(header.split()[-1])
                self.path = url.removeprefix(self.data)
            elif words[:1] == ["Ctrl-C"]:
                break
        # Whatever is printed later must not fill the pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        wait_for(f"{self.admin}/readyz")


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes every span, and looks at none."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(handler):
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()


def config_of_prometheus(folder, admins):
    file = folder / "prometheus.yml"
    targets = [admin.removeprefix("http://") for admin in admins]
    job = {"job_name": "connector-cache", "static_configs": [{"targets": targets, "labels": LABELS}]}
    # JSON is YAML.
    whole = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [job],
    }
    file.write_text(json.dumps(whole))
    return file


class Crowd:
    """Runs each of its callers in a thread, for as long as the block; `over` tells them that it has ended."""

    def __init__(self, callers, patience=DEADLINE):
        self.over, self.patience = threading.Event(), patience
        self.threads = [threading.Thread(target=caller, daemon=True) for caller in callers]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(self.patience)


def ask(base, path, token, method="GET"):
    """One request on a connection of its own. What is answered does not matter; that nothing is does neither."""
    url = urllib.parse.urlsplit(base)
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(url.netloc, timeout=DEADLINE, context=anybody())
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=DEADLINE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        connection.getresponse().read()


def anybody():
    """The certificate is of this run and nobody's."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Prometheus:
    """What can be asked of it."""

    def __init__(self, base):
        self.base = base

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.base}/api/v1/{path}?{query}", timeout=DEADLINE) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{parameters}: {error.read().decode()}") from error

    def query(self, expression):
        return self.get("query", query=expression)["result"]

    def range(self, expression, seconds):
        now = time.time()
        return self.get("query_range", query=expression, start=now - seconds, end=now, step="1s")["result"]

    def label_values(self, metric, label):
        return self.get(f"label/{label}/values", **{"match[]": metric})
