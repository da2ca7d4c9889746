"""Incidents, each with the proxy, a scripted Graph and callers.

A world is what an incident plays with. An incident is a class with the steps before, during and after the fault, and
overrides the methods `healthy` and `fault`, which play one step.
"""

import base64
import contextlib
import http.client
import http.server
import itertools
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import testbed

PATH = "/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration?$expand=postFederationSignup"
BODY = {
    "@odata.context": "https://graph.microsoft.com/beta/$metadata#apiConnectorConfiguration",
    "postFederationSignup": {"id": "1", "displayName": "Check", "targetUrl": "https://check.example/api"},
}
# Requests of one step. The file counts it as ten seconds.
REQUESTS = 10
# Hundredths of usual durations: see record.py.
CACHE = {"ttl": "3s", "proof_ttl": "3s", "stale_while_revalidate": "300ms", "stale_if_error": "0s"}

# Fresh for less than a minute of the file. Proofs are kept for longer, so that a refusal can revoke them.
SHORT = {"cache": {**CACHE, "ttl": "500ms", "proof_ttl": "6s", "stale_if_error": "6s"}}


# A caller keeps its token.
BEGAN = int(time.time())


def token(caller=0, **claims):
    """A token of one application for Graph, without a valid signature: only Graph verifies tokens."""
    usual = {
        "aud": "https://graph.microsoft.com",
        "tid": "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
        "oid": f"00000000-0000-4000-8000-{caller:012d}",
        "appid": f"10000000-0000-4000-8000-{caller:012d}",
        "idtyp": "app",
        "exp": BEGAN + 3600,
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, {**usual, **claims})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2ln"])


class Graph:
    """A Graph that responds as the function `script` says: it maps the number of a request to a status and a body."""

    def __init__(self):
        self.script, self.delay, self.numbers = (lambda _: (200, BODY)), 0.0, itertools.count()
        # Values of the field Authorization.
        self.refused = set()

    def handler(graph):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                time.sleep(graph.delay)
                status, body = graph.script(next(graph.numbers))
                if self.headers["Authorization"] in graph.refused:
                    status, body = error(401, "InvalidAuthenticationToken")
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(text)

            def log_message(self, *_):
                pass

        return Handler


class World:
    """One or more instances of the proxy, in front of one Graph."""

    def __init__(self, stack, sections, tls):
        self.stack, self.graph, self.numbers = stack, Graph(), itertools.count()
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.graph_url = stack.enter_context(testbed.serving(self.graph.handler()))
        self.sections, self.tls, self.instances, self.data, self.processes = sections, tls, {}, {}, {}
        # Sections of single instances, by their name.
        self.own = {}
        self.stdout, self.trusted = subprocess.DEVNULL, self.folder / "tls.crt"
        stack.callback(self.stop_all)

    def start(self, name, data=None, admin=None):
        """Starts an instance, at new ports or at these."""
        data, admin = data or testbed.free_port(), admin or testbed.free_port()
        file = self.write_config(name, data, admin)
        self.processes[name] = subprocess.Popen(
            [testbed.BINARY, "serve", "--config", file], stdout=self.stdout, stderr=subprocess.DEVNULL
        )
        self.data[name], self.instances[name] = data, f"http://{testbed.HOST}:{admin}"
        testbed.wait_for(f"{self.instances[name]}/readyz")

    def write_config(self, name, data, admin, **more):
        sections = {
            "listen": {"address": f"{testbed.HOST}:{data}"},
            "admin": {"address": f"{testbed.HOST}:{admin}"},
            "graph": {"base_url": self.graph_url},
            "cache": CACHE,
            "drain": {"delay": "0s"},
            "log": {"filter": "error"},
            "listen.tls": self.tls(self.folder) if self.tls else {},
        }
        for section, keys in [*self.sections.items(), *self.own.get(name, {}).items(), *more.items()]:
            sections[section] = {**sections.get(section, {}), **keys}
        file = self.folder / f"{name}.toml"
        lines = [
            f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
            for section, keys in sections.items()
        ]
        file.write_text("".join(lines))
        return file

    def kill(self, name):
        """Ends an instance at once; its ports stay its own."""
        self.processes[name].kill()
        self.processes[name].wait()

    def restart(self, name):
        port = int(self.instances[name].rsplit(":", 1)[1])
        self.start(name, self.data[name], port)

    def remove(self, name):
        """Ends an instance, which is then no target."""
        self.processes[name].send_signal(signal.SIGTERM)
        self.processes[name].wait()
        del self.instances[name], self.data[name]

    def stop_all(self):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def ask(self, number, flow="B2X_1_signup", bearer=None, patience=5.0):
        """One request of a caller, on its own connection, to the instances in turn. Returns the status, or None."""
        ports = list(self.data.values())
        context = None
        if self.tls:
            context = ssl.create_default_context(cafile=self.trusted)
            context.check_hostname = False
        kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
        options = {"context": context} if context else {}
        connection = kind(testbed.HOST, ports[number % len(ports)], timeout=patience, **options)
        bearer = token(number % 2) if bearer is None else bearer
        try:
            with contextlib.closing(connection):
                connection.request("GET", PATH.format(flow=flow), headers={"Authorization": f"Bearer {bearer}"})
                response = connection.getresponse()
                response.read()
                return response.status
        except (OSError, http.client.HTTPException):
            return None

    def hits_and_misses(self, count=REQUESTS, **options):
        """Half of the requests are for flows that no request has named."""
        for _ in range(count):
            number = next(self.numbers)
            flow = f"B2X_1_{number}" if number % 4 < 2 else "B2X_1_signup"
            self.ask(number, flow, **options)

    def misses(self, count=REQUESTS, **options):
        for _ in range(count):
            number = next(self.numbers)
            self.ask(number, f"B2X_1_{number}", **options)

    def at_once(self, count, **options):
        """So many misses at the same time."""
        threads = []
        for _ in range(count):
            number = next(self.numbers)
            threads.append(threading.Thread(target=self.ask, args=(number, f"B2X_1_{number}"), kwargs=options))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class Incident:
    """Steps before, during and after a fault."""

    before, during, after = 60, 60, 30
    sections, tls, instances = {}, None, ("a",)
    # Whether the recording has the buckets of histograms, which are many.
    histograms = False
    # Least duration of a step in seconds.
    step = 0.1

    def __init__(self, name):
        self.name, self.about = name, (self.__doc__ or "").strip()
        self.steps = self.before + self.during + self.after

    @contextlib.contextmanager
    def world(self):
        with contextlib.ExitStack() as stack:
            world = World(stack, self.sections, self.tls)
            self.prepare(world)
            for name in self.instances:
                world.start(name)
            yield world

    def play(self, world, step):
        if step == self.before:
            self.begin(world)
        if step == self.before + self.during:
            self.repair(world)
        if self.before <= step < self.before + self.during:
            self.fault(world, step - self.before)
        else:
            self.healthy(world)

    def prepare(self, world):
        """Before the first instance starts."""

    def begin(self, world):
        """At the beginning of the fault."""

    def repair(self, world):
        """At its end."""
        world.graph.script, world.graph.delay = (lambda _: (200, BODY)), 0.0

    def healthy(self, world):
        world.hits_and_misses()

    def fault(self, world, step):
        world.hits_and_misses()


def error(status, code):
    return status, {"error": {"code": code, "message": code}}


THROTTLED = error(429, "TooManyRequests")
UNAVAILABLE = error(503, "serviceUnavailable")


class GraphThrottles(Incident):
    """Graph answers half of the requests with 429 for five minutes, and then all of them."""

    def fault(self, world, step):
        world.graph.script = lambda number: THROTTLED if step >= 30 or number % 2 else (200, BODY)
        world.misses()


class Graph503(Incident):
    """Graph answers every second request with 503."""

    def begin(self, world):
        world.graph.script = lambda number: UNAVAILABLE if number % 2 else (200, BODY)

    def fault(self, world, step):
        world.misses()


class GraphDown(Incident):
    """No connection to Graph can be made."""

    def prepare(self, world):
        # A relay whose end is the fault.
        self.target = int(world.graph_url.rsplit(":", 1)[1])
        self.port = testbed.free_port()
        world.graph_url = f"http://{testbed.HOST}:{self.port}"
        self.open()

    def open(self):
        self.listener = socket.create_server((testbed.HOST, self.port))
        self.pairs = []
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                inner, _ = listener.accept()
                outer = socket.create_connection((testbed.HOST, self.target))
                self.pairs += [inner, outer]
                for pair in ((inner, outer), (outer, inner)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    def begin(self, world):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for one in self.pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def repair(self, world):
        self.open()


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class GraphSlow(Incident):
    """Graph responds after graph.first_byte_timeout."""

    during, histograms = 45, True
    sections = {"graph": {"first_byte_timeout": "60ms", "timeout": "100ms", "connect_timeout": "50ms"}}

    def begin(self, world):
        world.graph.delay = 0.2

    def fault(self, world, step):
        world.at_once(REQUESTS)


class GraphHangs(Incident):
    """Graph does not respond, and callers give up before the proxy does."""

    during = 45

    def begin(self, world):
        world.graph.delay = 0.5

    def fault(self, world, step):
        world.at_once(REQUESTS, patience=0.05)


class Refused(Incident):
    """Graph refuses all tokens that it accepted before, as a policy of Conditional Access does."""

    sections = SHORT

    def begin(self, world):
        world.graph.script = lambda _: error(403, "Authorization_RequestDenied")


class Revoked(Incident):
    """Graph answers 401 to the tokens of all callers: their sessions were revoked."""

    sections = SHORT

    def begin(self, world):
        world.graph.script = lambda _: error(401, "InvalidAuthenticationToken")

    def fault(self, world, step):
        # Callers send a new token when the old one is refused.
        for number in range(REQUESTS):
            world.ask(number, bearer=token(number, jti="one" if step < 15 else f"{step // 2}-{number}"))

    def healthy(self, world):
        world.hits_and_misses(REQUESTS // 2)
        for number in range(REQUESTS):
            world.ask(number, bearer=token(number, jti="one"))


def certificate(valid_for):
    """A certificate that ends so many seconds after its creation; keeps one that exists."""

    def files(folder):
        chain, key = folder / "tls.crt", folder / "tls.key"
        if not chain.exists():
            issue(folder, chain, key, valid_for)
        return {"certificate": str(chain), "key": str(key)}

    return files


def issue(folder, chain, key, valid_for):
    at = lambda seconds: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
    request, settings = folder / "tls.csr", folder / "ca.cnf"
    (folder / "index.txt").write_text("")
    settings.write_text(
        f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index.txt\nnew_certs_dir = {folder}\nrand_serial = yes\n"
        "default_md = sha256\npolicy = any\nx509_extensions = names\n[any]\ncommonName = supplied\n"
        "[names]\nsubjectAltName = DNS:cache.example\n"
    )
    new = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    sign = ["openssl", "ca", "-batch", "-selfsign", "-notext", "-config", settings, "-in", request, "-keyfile", key]
    window = ["-startdate", at(-86400), "-enddate", at(valid_for), "-out", chain]
    for command in ([*new, "-subj", "/CN=cache.example", "-keyout", key, "-out", request], [*sign, *window]):
        subprocess.run(command, check=True, capture_output=True)


class CertificateExpired(Incident):
    """The certificate of the data port expires, and every handshake fails."""

    after = 0
    # Longer than the steps before.
    tls = staticmethod(certificate(45))

    def begin(self, world):
        # The certificate ends in real time.
        command = ["openssl", "x509", "-noout", "-enddate", "-in", world.folder / "tls.crt"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        end = ssl.cert_time_to_seconds(said.strip().removeprefix("notAfter="))
        time.sleep(max(0.0, end + 1 - time.time()))


class NotTrusted(Incident):
    """Callers do not trust the certificate of the data port, and every handshake fails."""

    tls = staticmethod(certificate(30 * 86400))

    def begin(self, world):
        world.trusted = world.folder / "other.crt"
        issue(world.folder, world.trusted, world.folder / "other.key", 30 * 86400)

    def repair(self, world):
        world.trusted = world.folder / "tls.crt"


class CrashLoop(Incident):
    """The process ends 50 seconds after each start, and runs again after 10 seconds."""

    def begin(self, world):
        self.down = False

    def fault(self, world, step):
        if step % 5 == 0:
            world.kill("a")
            self.down = True
        elif self.down:
            world.restart("a")
            self.down = False
        world.hits_and_misses()

    def repair(self, world):
        if self.down:
            world.restart("a")


class OutOfMemory(Incident):
    """The kernel ends the process once, and it runs again after 10 seconds."""

    def fault(self, world, step):
        if step == 0:
            world.kill("a")
        if step == 1:
            world.restart("a")
        world.hits_and_misses()


class Gone(Incident):
    """All instances end and do not come back."""

    instances, after = ("a", "b"), 0

    def begin(self, world):
        for name in self.instances:
            world.kill(name)


class OneGone(Incident):
    """One of two instances ends and does not come back."""

    instances, after = ("a", "b"), 0

    def begin(self, world):
        world.kill("b")
        del world.data["b"]


class TwoOfNine(Incident):
    """A failure of Graph is over; minutes later two of nine requests fail."""

    before, during, after = 60, 60, 0

    def play(self, world, step):
        # Two minutes of errors, and then few requests.
        world.graph.script = lambda _: UNAVAILABLE if 20 <= step < 32 else (200, BODY)
        if step < self.before:
            world.misses()
        elif step in (62, 64, 66, 68, 72, 74, 80, 82, 84):
            failing = step in (64, 74)
            world.graph.script = lambda _: UNAVAILABLE if failing else (200, BODY)
            world.misses(1)


class Blip(Incident):
    """Graph answers with 503 for 40 seconds."""

    during = 4

    def begin(self, world):
        world.graph.script = lambda _: UNAVAILABLE


class BrokenCaller(Incident):
    """One caller repeats a token that Graph refuses; the others are served."""

    def begin(self, world):
        world.graph.refused = {f"Bearer {token(77)}"}

    def fault(self, world, step):
        world.hits_and_misses()
        for number in range(REQUESTS):
            world.ask(number, bearer=token(77))


class Rollout(Incident):
    """Both pods are replaced, one after the other."""

    instances = ("a", "b")

    def fault(self, world, step):
        for at, (new, old) in {5: ("c", "a"), 10: ("d", "b")}.items():
            if step == at:
                world.start(new)
                world.remove(old)
        world.hits_and_misses()


class Bypass(Incident):
    """A third of the callers begin to send tokens that the proxy cannot read."""

    before, during, after = 100, 200, 0

    def fault(self, world, step):
        world.hits_and_misses(REQUESTS // 2)
        for number in range(REQUESTS // 2):
            world.ask(number, bearer=f"opaque{number}")


class NoHits(Incident):
    """Callers fetch a new token for each request, and nothing is served from memory."""

    before, during, after = 120, 240, 0

    def healthy(self, world):
        for number in range(REQUESTS):
            world.ask(number)

    def fault(self, world, step):
        for number in range(REQUESTS):
            world.ask(number, bearer=token(1, jti=f"{step}-{number}"))


class Overloaded(Incident):
    """More misses at the same time than limits.origin_requests and limits.waiting_requests allow."""

    sections = {
        "limits": {"origin_requests": 4, "unproven_requests": 4, "unproven_per_address": 4, "waiting_requests": 6}
    }

    def begin(self, world):
        world.graph.delay = 0.03

    def fault(self, world, step):
        world.at_once(3 * REQUESTS)


class Connections(Incident):
    """Callers leave so many connections open that limits.connections is reached."""

    sections = {"limits": {"connections": 20, "connections_per_address": 20, "header_timeout": "2m"}}

    def begin(self, world):
        [port] = world.data.values()
        self.idle = [socket.create_connection((testbed.HOST, port)) for _ in range(20)]

    def repair(self, world):
        for one in self.idle:
            one.close()


class Full(Incident):
    """More responses than cache.max_bytes has room for."""

    before, during, after = 30, 150, 0
    sections = {"cache": {**CACHE, "ttl": "1h", "max_bytes": "1MiB"}, "limits": {"unproven_failures": 1000}}

    def begin(self, world):
        body = {**BODY, "postFederationSignup": {"id": "1", "displayName": "x" * 30000}}
        world.graph.script = lambda _: (200, body)

    def fault(self, world, step):
        world.misses()


class Unscrubbable(Incident):
    """A server on the path answers with text that is not JSON."""

    def begin(self, world):
        world.graph.script = lambda number: (200, b"<html>blocked</html>") if number % 10 == 0 else (200, BODY)

    def fault(self, world, step):
        world.misses()


class Masked(Incident):
    """Graph sends a member that its schema does not have, and errors that are not JSON."""

    def begin(self, world):
        body = {**BODY, "postFederationSignup": {**BODY["postFederationSignup"], "secretHandshake": "a"}}
        world.graph.script = lambda number: (404, b"<html>") if number % 10 == 0 else (200, body)

    def fault(self, world, step):
        world.misses()


class Flood(Incident):
    """An address sends more invented tokens than limits.unproven_failures_per_address allows."""

    sections = {
        "limits": {"unproven_failures_per_address": 5, "unproven_paced_per_address": 1, "unproven_paced": 1},
        "graph": {"timeout": "100ms", "first_byte_timeout": "100ms", "connect_timeout": "50ms"},
    }

    def begin(self, world):
        world.graph.script = lambda _: error(401, "InvalidAuthenticationToken")

    def fault(self, world, step):
        for number in range(3):
            world.ask(number, bearer=token(1000 + 3 * step + number))


class ReloadFails(Incident):
    """A configuration with an unknown key is written, and later repaired."""

    def write(self, world, **more):
        admin = int(world.instances["a"].rsplit(":", 1)[1])
        world.write_config("a", world.data["a"], admin, **more)
        world.processes["a"].send_signal(signal.SIGHUP)

    def begin(self, world):
        self.write(world, cache={"tll": "5m"})

    def repair(self, world):
        self.write(world, cache={"ttl": "4s"})


class LogGone(Incident):
    """The reader of the log ends."""

    after = 0
    sections = {"log": {"filter": "info", "access": "all"}}

    def prepare(self, world):
        self.reader, world.stdout = os.pipe()
        os.set_blocking(self.reader, False)

    def healthy(self, world):
        world.hits_and_misses()
        with contextlib.suppress(BlockingIOError):
            while os.read(self.reader, 1 << 16):
                pass

    def begin(self, world):
        os.close(world.stdout)
        os.close(self.reader)


ALL = {
    incident.name: incident
    for incident in (
        GraphThrottles("graph-throttles"),
        Graph503("graph-503"),
        GraphDown("graph-down"),
        GraphSlow("graph-slow"),
        GraphHangs("graph-hangs"),
        Refused("refused"),
        Revoked("revoked"),
        CertificateExpired("certificate-expired"),
        NotTrusted("certificate-not-trusted"),
        CrashLoop("crash-loop"),
        OutOfMemory("out-of-memory"),
        Gone("gone"),
        OneGone("one-gone"),
        TwoOfNine("two-of-nine"),
        Blip("blip"),
        BrokenCaller("broken-caller"),
        Rollout("rollout"),
        Bypass("bypass"),
        NoHits("no-hits"),
        Overloaded("overloaded"),
        Connections("connections"),
        Full("full"),
        Unscrubbable("unscrubbable"),
        Masked("masked"),
        Flood("flood"),
        ReloadFails("reload-fails"),
        LogGone("log-gone"),
    )
}
