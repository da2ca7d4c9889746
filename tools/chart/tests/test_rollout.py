"""While an old pod is replaced by a new one, no caller's request fails. The probe, the drain and the grace period are
those that the chart renders. The pods are processes of the binary, and pods of podman where these are to be had."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import common
import pods

sys.path.insert(0, str(common.ROOT / "tools/monitoring"))

import rollout  # noqa: E402
import testbed  # noqa: E402


class Process:
    """A pod's container as a process of this machine."""

    def __init__(self, objects, _, stack):
        place = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "config.toml"
        place.write_text(common.config_of(objects))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {"PATH": os.environ["PATH"], **common.variables_of(objects)}
        command = [common.BINARY, "serve", "--config", place]
        self.process = stack.enter_context(testbed.running(*command, env=environment, **quiet))

    def stop(self, grace):
        self.process.terminate()
        return self.process.wait(grace)


class Container:
    """A pod of podman."""

    def __init__(self, objects, name, stack):
        self.pod = stack.enter_context(pods.played(pods.playable(objects), f"{name}-connector-cache-pod-0"))

    def stop(self, grace):
        container = pods.container_in(self.pod)
        pods.podman("stop", "--time", grace, container)
        return int(pods.inspect(container, "State.ExitCode"))


class Rollout(unittest.TestCase):
    def test_no_request_fails_while_a_process_replaces_another(self):
        self.replace(Process)

    def test_no_request_fails_while_a_pod_replaces_another(self):
        reason = pods.why_not()
        if reason:
            self.skipTest(reason)
        self.replace(Container)

    def replace(self, kind):
        with contextlib.ExitStack() as stack:
            process = stack.enter_context(testbed.running(common.BINARY, "demo", stdout=subprocess.PIPE, text=True))
            demo = testbed.Demo(process)
            service = stack.enter_context(contextlib.closing(rollout.Service()))
            ports, grace = [], 0
            revisions = []
            callers = rollout.Callers(service.address, demo.path, demo.tokens[0])
            for number, ttl in enumerate(("5m", "6m")):
                data, admin = pods.free_ports(2)
                name = f"chart-test-{os.getpid()}-{number}"
                objects = common.render(pods.values(demo.graph, data, admin, cache={"ttl": ttl}), name=name)
                # podman takes the probes out of these.
                probe = common.container_of(objects)["readinessProbe"]
                grace = common.pod_of(objects)["spec"]["terminationGracePeriodSeconds"]
                revisions.append(kind(objects, name, stack))
                kubelet = rollout.Kubelet(service, data, admin, probe)
                stack.callback(kubelet.over.set)
                rollout.until(lambda: data in service.endpoints)
                ports.append(data)
                if number == 0:
                    stack.enter_context(callers)
                callers.answers(100)
            code = revisions[0].stop(grace)
            callers.answers(100)
            self.assertEqual(callers.failures, [])
            self.assertEqual(code, 0)
            self.assertEqual(service.endpoints, {ports[1]})
            self.assertTrue(all(service.sent.get(port) for port in ports), service.sent)


if __name__ == "__main__":
    unittest.main()
