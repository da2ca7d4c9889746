"""A real Prometheus that scrapes two real proxies under load.

The one is the demo, with its stand-in for Graph. The other speaks TLS, keeps answers for a second, asks the same
stand-in through a relay that fails now and then, and tells a collector of it. So every metric has something to tell.
"""

import contextlib
import http.client
import http.server
import itertools
import json
import pathlib
import shlex
import socket
import ssl
import subprocess
import tempfile
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
# Every so many questions to the relay something goes wrong.
FAULTS = {7: "unavailable", 11: "no json", 13: "hang up", 29: "throttled"}


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


def relay_to(graph):
    """A handler that passes questions on to the stand-in, and fails at some of them."""
    numbers = itertools.count(1)

    class Relay(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            number = next(numbers)
            fault = next((fault for every, fault in FAULTS.items() if number % every == 0), None)
            if fault == "hang up":
                self.close_connection = True
            elif fault == "unavailable":
                self.say(503, b"{}")
            elif fault == "throttled":
                self.say(429, b"{}", {"Retry-After": "1"})
            elif fault == "no json":
                self.say(200, b"{ of another kind")
            else:
                asked = urllib.request.Request(graph + self.path, headers=dict(self.headers))
                try:
                    with urllib.request.urlopen(asked, timeout=DEADLINE) as answer:
                        self.say(answer.status, answer.read(), coding(answer.headers))
                except urllib.error.HTTPError as answer:
                    self.say(answer.status, answer.read(), coding(answer.headers))

        def say(self, status, body, headers=None):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Relay


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


def coding(headers):
    return {name: headers[name] for name in ("Content-Encoding", "Retry-After") if headers[name]}


@contextlib.contextmanager
def serving(handler):
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()


def certificate(folder):
    """A new one, and its key."""
    files = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        + ["-days", "30", "-subj", "/CN=cache.example", "-out", str(files[0]), "-keyout", str(files[1])],
        check=True,
        capture_output=True,
    )
    return files


def config_of_second(folder, graph, collector, data, admin):
    chain, key = certificate(folder)
    file = folder / "connector-cache.toml"
    file.write_text(
        f'[listen]\naddress = "{HOST}:{data}"\n[listen.tls]\ncertificate = "{chain}"\nkey = "{key}"\n'
        f'[admin]\naddress = "{HOST}:{admin}"\n[graph]\nbase_url = "{graph}"\n'
        '[cache]\nttl = "1s"\nstale_while_revalidate = "500ms"\nstale_if_error = "100ms"\n[drain]\ndelay = "0s"\n[log]\nfilter = "error"\n'
        f'[telemetry]\notlp_endpoint = "{collector}"\n'
    )
    return file


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


class Load(Crowd):
    """Callers of both proxies, until they are stopped."""

    def __init__(self, demo, second):
        self.demo, self.second = demo, second
        super().__init__((self.hits, self.hits, self.misses, self.refused, self.purges, self.second_callers))

    def ticks(self, seconds):
        """Counts until the end, with a pause after each number."""
        for number in itertools.count():
            if self.over.wait(seconds):
                return
            yield number

    def hits(self):
        for number in self.ticks(0.02):
            ask(self.demo.data, self.demo.path, self.demo.tokens[number % 2])

    def misses(self):
        """Other questions than those of `hits`; each is a hit until the next purge."""
        flow = self.demo.path.split("?")[0]
        queries = ["", "?$expand=postFederationSignup", "?$expand=postAttributeCollection", "?$select=id"]
        paths = [flow + query for query in queries] + [flow.replace("B2X_1_signup", "B2X_1_nobody")]
        for number in self.ticks(0.1):
            method = "HEAD" if number % 5 == 0 else "GET"
            ask(self.demo.data, paths[number % len(paths)], self.demo.tokens[number % 2], method=method)

    def refused(self):
        token = self.demo.tokens[0]
        forged = token.rsplit(".", 1)[0] + "." + "A" * 43
        flow = self.demo.path.split("?")[0]
        wrong = [
            (self.demo.path, None, "GET"),
            (self.demo.path, forged, "GET"),
            (self.demo.path, "opaque", "GET"),
            (f"{flow}?$filter=x", token, "GET"),
            ("/beta/users", token, "GET"),
            (self.demo.path, token, "POST"),
        ]
        # Slow enough for limits.unproven_failures_per_address: past it callers without a proof would be refused, too.
        for number in self.ticks(0.25):
            path, token, method = wrong[number % len(wrong)]
            ask(self.demo.data, path, token, method=method)

    def purges(self):
        """Each is followed by equal questions at one time."""
        for _ in self.ticks(2.5):
            ask(self.demo.admin, "/cache", None, method="DELETE")
            crowd = [
                threading.Thread(target=ask, args=(self.demo.data, self.demo.path, self.demo.tokens[0]))
                for _ in range(8)
            ]
            for one in crowd:
                one.start()
            for one in crowd:
                one.join(DEADLINE)

    def second_callers(self):
        flow = self.demo.path.split("?")[0]
        paths = [self.demo.path, flow, f"{flow}?$expand=postFederationSignup"]
        for number in self.ticks(0.03):
            # Without a stored response a fault of the relay reaches the caller.
            unknown = flow.replace("B2X_1_signup", f"B2X_1_{number}")
            path = unknown if number % 4 == 3 else paths[number % 3]
            ask(self.second, path, self.demo.tokens[number % 2])


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


@contextlib.contextmanager
def under_load(prometheus, seconds):
    """Runs the load for this many seconds, and yields the Prometheus that scraped both proxies."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        process = stack.enter_context(running(BINARY, "demo", stdout=subprocess.PIPE, text=True))
        demo = Demo(process)
        graph = stack.enter_context(serving(relay_to(demo.graph)))
        data, admin, web = free_port(), free_port(), free_port()
        config = config_of_second(folder, graph, stack.enter_context(serving(Collector)), data, admin)
        stack.enter_context(running(BINARY, "serve", "--config", config, **quiet))
        second = f"http://{HOST}:{admin}"
        wait_for(f"{second}/readyz")
        # In that order: the load ends before Prometheus does.
        arguments = [
            f"--config.file={config_of_prometheus(folder, [demo.admin, second])}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{web}",
        ]
        stack.enter_context(running(prometheus, *arguments, **quiet))
        wait_for(f"http://{HOST}:{web}/-/ready")
        stack.enter_context(Load(demo, f"https://{HOST}:{data}"))
        time.sleep(seconds)
        yield Prometheus(f"http://{HOST}:{web}")
