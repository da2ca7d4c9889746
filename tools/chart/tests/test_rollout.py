"""While an old pod is replaced by a new one, no caller's request fails. The probe, the drain and the grace period are
those that the chart renders. The pods are processes of the binary, and pods of podman where these are to be had."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import common
import pods

sys.path.insert(0, str(common.ROOT / "tools/monitoring"))

import rollout  # noqa: E402
import testbed  # noqa: E402


class Process:
    """A pod's container as a process of this machine."""

    def __init__(self, objects, _, stack):
        self.place = place = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "config.toml"
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

    def test_a_live_key_changes_in_a_running_process_which_keeps_its_entries(self):
        """As kubelet does it: the file of the ConfigMap is replaced, and nothing else happens to the process."""
        with contextlib.ExitStack() as stack:
            process = stack.enter_context(testbed.running(common.BINARY, "demo", stdout=subprocess.PIPE, text=True))
            demo = testbed.Demo(process)
            data, admin = pods.free_ports(2)
            before, after = (
                common.render(pods.values(demo.graph, data, admin, cache={"stale_if_error": time}))
                for time in ("10m", "9m")
            )
            self.assertEqual(common.pod_of(before), common.pod_of(after))
            pod = Process(before, "", stack)
            testbed.wait_for(f"http://{testbed.HOST}:{admin}/readyz")
            address = f"{testbed.HOST}:{data}"
            callers = stack.enter_context(rollout.Callers(address, demo.path, demo.tokens[0]))
            callers.answers(20)
            misses = self.metric(admin, 'requests_total{cache="miss",method="GET",status="200"}')
            pod.place.write_text(common.config_of(after))
            rollout.until(lambda: self.metric(admin, 'config_reloads_total{result="success"}') == 1)
            callers.answers(20)
            self.assertEqual(callers.failures, [])
            self.assertEqual(self.metric(admin, 'requests_total{cache="miss",method="GET",status="200"}'), misses)
            self.assertEqual(pod.stop(60), 0)

    def metric(self, admin, series):
        with urllib.request.urlopen(f"http://{testbed.HOST}:{admin}/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"connector_cache_{series} "))

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
