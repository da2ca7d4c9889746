"""A real Prometheus that scrapes three real proxies under load.

The first is the demo, with its stand-in for Graph. The others speak TLS, keep answers for a second, share a store, ask
the same stand-in through a relay that fails now and then, and tell a collector of it. So every metric has something to
tell.
"""

import contextlib
import http.server
import itertools
import pathlib
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from store import Store, secret
from testbed import (
    BINARY,
    DEADLINE,
    HOST,
    Collector,
    Crowd,
    Demo,
    Prometheus,
    ask,
    config_of_prometheus,
    free_port,
    running,
    serving,
    wait_for,
)

# Every so many questions to the relay something goes wrong.
FAULTS = {7: "unavailable", 11: "no json", 13: "hang up", 29: "throttled"}


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


def coding(headers):
    return {name: headers[name] for name in ("Content-Encoding", "Retry-After") if headers[name]}


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


def config_of_sharing(folder, graph, collector, shared, data, admin):
    """The configuration of a replica that shares the store of this URL and the secret in this file."""
    chain, key = certificate(folder)
    file = folder / f"{data}.toml"
    url, secret = shared
    file.write_text(
        f'[listen]\naddress = "{HOST}:{data}"\n[listen.tls]\ncertificate = "{chain}"\nkey = "{key}"\n'
        f'[admin]\naddress = "{HOST}:{admin}"\n[graph]\nbase_url = "{graph}"\n'
        '[cache]\nttl = "1s"\nstale_while_revalidate = "500ms"\nstale_if_error = "100ms"\n[drain]\ndelay = "0s"\n[log]\nfilter = "error"\n'
        f'[telemetry]\notlp_endpoint = "{collector}"\n[shared]\nurl = "{url}"\nsecret_file = "{secret}"\n'
    )
    return file


class Load(Crowd):
    """Callers of all proxies, until they are stopped."""

    def __init__(self, demo, sharing):
        self.demo, self.sharing = demo, sharing
        callers = (self.hits, self.hits, self.misses, self.refused, self.purges, self.callers_of_sharing)
        super().__init__(callers)

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

    def callers_of_sharing(self):
        flow = self.demo.path.split("?")[0]
        paths = [self.demo.path, flow, f"{flow}?$expand=postFederationSignup"]
        for number in self.ticks(0.03):
            # Without a stored response a fault of the relay reaches the caller.
            unknown = flow.replace("B2X_1_signup", f"B2X_1_{number}")
            path = unknown if number % 4 == 3 else paths[number % 3]
            # The second finds in the store what the first has fetched.
            for replica in self.sharing:
                ask(replica, path, self.demo.tokens[number % 2])


@contextlib.contextmanager
def under_load(prometheus, seconds):
    """Runs the load for this many seconds, and yields the Prometheus that scraped all proxies."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        process = stack.enter_context(running(BINARY, "demo", stdout=subprocess.PIPE, text=True))
        demo = Demo(process)
        graph = stack.enter_context(serving(relay_to(demo.graph)))
        collector, web = stack.enter_context(serving(Collector)), free_port()
        shared = Store(stack).url, secret(folder, "secret")
        admins, sharing = [demo.admin], []
        for _ in range(2):
            data, admin = free_port(), free_port()
            config = config_of_sharing(folder, graph, collector, shared, data, admin)
            stack.enter_context(running(BINARY, "serve", "--config", config, **quiet))
            admins.append(f"http://{HOST}:{admin}")
            sharing.append(f"https://{HOST}:{data}")
            wait_for(f"{admins[-1]}/readyz")
        # In that order: the load ends before Prometheus does.
        arguments = [
            f"--config.file={config_of_prometheus(folder, admins)}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{web}",
        ]
        stack.enter_context(running(prometheus, *arguments, **quiet))
        wait_for(f"http://{HOST}:{web}/-/ready")
        stack.enter_context(Load(demo, sharing))
        time.sleep(seconds)
        yield Prometheus(f"http://{HOST}:{web}")
