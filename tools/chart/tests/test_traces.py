"""What the binary sends a collector is OTLP, by the definitions that collectors are made of."""

import base64
import http.server
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import unittest

import common
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

sys.path.insert(0, str(common.ROOT / "tools/monitoring"))

import testbed  # noqa: E402

IDS = ("traceId", "spanId", "parentSpanId")


def collector(bodies):
    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            bodies.put((self.path, self.headers["Content-Type"], self.rfile.read(length)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    return Collector


def export(body):
    """Read as strictly as protobuf does; but ids are hex in OTLP, where JSON of protobuf has base64."""

    def ids(thing):
        return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in IDS else v for k, v in thing.items()}

    return json_format.ParseDict(json.loads(body, object_hook=ids), trace_service_pb2.ExportTraceServiceRequest())


class Traces(unittest.TestCase):
    def test_a_collector_reads_the_spans_of_an_answer_and_of_a_failure(self):
        bodies = queue.Queue()
        place = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        collects = self.enterContext(testbed.serving(collector(bodies)))
        process = testbed.running(common.BINARY, "demo", stdout=subprocess.PIPE, text=True)
        demo = testbed.Demo(self.enterContext(process))
        data, admin = (f"{testbed.HOST}:{testbed.free_port()}" for _ in range(2))
        (place / "config.toml").write_text(
            f'[listen]\naddress = "{data}"\n[admin]\naddress = "{admin}"\n[graph]\nbase_url = "{demo.graph}"\n'
            f'[telemetry]\notlp_endpoint = "{collects}"\n[drain]\ndelay = "0s"\n'
        )
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
        with testbed.running(common.BINARY, "serve", "--config", place / "config.toml", **quiet):
            testbed.wait_for(f"http://{admin}/readyz")
            testbed.ask(f"http://{data}", demo.path, demo.tokens[0])
            testbed.ask(f"http://{data}", demo.path, "opaque")
        spans = []
        while not bodies.empty():
            path, form, body = bodies.get()
            self.assertEqual((path, form), ("/v1/traces", "application/json"))
            for of_resource in export(body).resource_spans:
                names = {attribute.key for attribute in of_resource.resource.attributes}
                self.assertEqual(names, {"service.name", "service.version", "service.instance.id"})
                spans += [span for of_scope in of_resource.scope_spans for span in of_scope.spans]
        kinds = [span.kind for span in spans]
        self.assertEqual(sorted(kinds), [Span.SPAN_KIND_SERVER] * 2 + [Span.SPAN_KIND_CLIENT] * 2)
        servers = {span.span_id: span for span in spans if span.kind == Span.SPAN_KIND_SERVER}
        for span in spans:
            self.assertEqual((len(span.trace_id), len(span.span_id)), (16, 8))
            self.assertGreater(span.end_time_unix_nano, span.start_time_unix_nano)
            if span.kind == Span.SPAN_KIND_CLIENT:
                self.assertEqual(span.trace_id, servers[span.parent_span_id].trace_id)
        failed = [span.kind for span in spans if span.status.code == Status.STATUS_CODE_ERROR]
        self.assertEqual(failed, [Span.SPAN_KIND_CLIENT], "Graph's 401 is an error of the attempt, not of the answer")


if __name__ == "__main__":
    unittest.main()
