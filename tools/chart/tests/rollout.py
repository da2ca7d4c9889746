"""A Service, a kubelet's probe and callers, as far as a rollout has to do with them."""

import functools
import http.client
import itertools
import socket
import threading
import time
import urllib.request

import testbed

HOST = "127.0.0.1"
PATIENCE = 60


class Service:
    """Gives each connection to the next endpoint, and knows no more of it than that: no retry, no look into it."""

    def __init__(self):
        self.endpoints, self.turns, self.sent = set(), itertools.count(), {}
        self.listener = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(caller,), daemon=True).start()

    def connect(self, caller):
        with caller:
            ready = sorted(self.endpoints)
            if not ready:
                return
            port = ready[next(self.turns) % len(ready)]
            try:
                pod = socket.create_connection((HOST, port))
            except OSError:
                return
            with pod:
                self.sent[port] = self.sent.get(port, 0) + 1
                back = threading.Thread(target=pump, args=(pod, caller), daemon=True)
                back.start()
                pump(caller, pod)
                back.join()

    def close(self):
        self.listener.close()


def pump(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Kubelet:
    """Asks a pod whether it is ready, as its probe says, and lets the Service know. Nothing else takes the pod away:
    a cluster also takes it away when it is told to end, and that may come as late as this."""

    def __init__(self, service, port, admin, probe):
        self.service, self.port, self.probe, self.over = service, port, probe, threading.Event()
        self.url = f"http://{HOST}:{admin}{probe['httpGet']['path']}"
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        failures = 0
        while not self.over.wait(self.probe["periodSeconds"]):
            failures = 0 if self.ready() else failures + 1
            if failures == 0:
                self.service.endpoints.add(self.port)
            elif failures >= self.probe["failureThreshold"]:
                self.service.endpoints.discard(self.port)

    def ready(self):
        try:
            with urllib.request.urlopen(self.url, timeout=self.probe["timeoutSeconds"]):
                return True
        except OSError:
            return False


class Callers(testbed.Crowd):
    """Ask again and again, two on connections that they keep and two on a new one each time."""

    def __init__(self, address, path, token):
        self.address, self.path, self.token = address, path, token
        self.answered, self.failures, self.lock = 0, [], threading.Lock()
        super().__init__([functools.partial(self.call, keeps) for keeps in (True, False) * 2], PATIENCE)

    def call(self, keeps):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        while not self.over.wait(0.01):
            try:
                connection.request("GET", self.path, headers={"Authorization": f"Bearer {self.token}"})
                answer = connection.getresponse()
                answer.read()
                said = None if answer.status == 200 else f"{answer.status} {answer.headers['Cache-Status']}"
            except (OSError, http.client.HTTPException) as error:
                said = f"{'kept' if keeps else 'new'} connection: {error!r}"
                connection.close()
            with self.lock:
                self.answered += said is None
                self.failures += [said] if said else []
            if not keeps:
                connection.close()

    def answers(self, count):
        """Until there are so many more."""
        until(lambda wanted=self.answered + count: self.answered >= wanted or len(self.failures) > count)


def until(true):
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for did not happen")
        time.sleep(0.05)
