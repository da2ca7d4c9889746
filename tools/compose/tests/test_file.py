"""compose.yaml follows the Compose specification, and is as hardened as the page says."""

import json
import os
import pathlib
import shutil
import tempfile
import unittest

import common

# A podman that has no containers and accepts every command. podman-compose asks it for its version and for what exists.
PODMAN = """#!/bin/sh
case $1 in
    --version) echo podman version 5.4.0 ;;
    ps) echo '[]' ;;
    create) printf '%s\\n' "$*" >> "$CREATED" ;;
esac
"""


class File(unittest.TestCase):
    def test_the_file_follows_the_schema_of_the_specification(self):
        done = common.validate("vendor.compose-spec", common.FILE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_schema_refuses_a_misspelled_key(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "compose.yaml"
            file.write_text(common.FILE.read_text().replace("cap_drop:", "cap_dropped:"))
            self.assertEqual(common.validate("vendor.compose-spec", file).returncode, 1)

    def test_podman_compose_creates_every_service_as_restricted_as_the_file_says(self):
        with tempfile.TemporaryDirectory() as folder:
            podman, created = pathlib.Path(folder) / "podman", pathlib.Path(folder) / "created"
            podman.write_text(PODMAN)
            podman.chmod(0o755)
            variables = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "CREATED": str(created)}
            done = common.run(common.TOOLS / "podman-compose", "-f", common.FILE, "up", "-d", env=variables, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            commands = [line for line in created.read_text().splitlines() if line.startswith("create ")]
        self.assertEqual(len(commands), len(common.SERVICES))
        for command in commands:
            for option in ("--read-only ", "--cap-drop ALL", "--security-opt no-new-privileges:true", "-m "):
                self.assertIn(option, command)

    def test_every_service_is_hardened_and_bounded(self):
        for name, service in common.SERVICES.items():
            with self.subTest(name):
                self.assertIs(service["read_only"], True)
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
                self.assertTrue(service["mem_limit"] and service["pids_limit"] and service["user"])
                self.assertNotIn("privileged", service)
                # It gives the secret to the user of the proxy.
                self.assertEqual(service.get("cap_add", []), ["CHOWN"] if name == "secret" else [])

    def test_every_service_that_goes_on_has_a_health_check(self):
        without = [name for name, service in common.SERVICES.items() if "healthcheck" not in service]
        self.assertEqual(without, ["secret"])
        self.assertEqual(common.SERVICES["secret"]["restart"], "no")
        for name in ("graph", "proxy"):
            word, program, *_ = common.SERVICES[name]["healthcheck"]["test"]
            self.assertEqual((word, program), ("CMD", "/connector-cache"), "the image has no shell")

    def test_ports_are_published_on_loopback_only_and_none_twice(self):
        ports = [port for service in common.SERVICES.values() for port in service.get("ports", [])]
        self.assertTrue(all(port.startswith("127.0.0.1:") for port in ports), ports)
        self.assertEqual(len({port.split(":")[1] for port in ports}), len(ports))

    def test_every_mounted_file_exists_and_is_read_only(self):
        for name, service in common.SERVICES.items():
            for source in common.mounts(name).values():
                self.assertTrue(source.is_file(), source)
            for mount in service.get("volumes", []):
                if mount.startswith("./"):
                    self.assertIn("ro", mount.split(":")[2].split(","), mount)

    def test_the_proxy_has_time_to_drain(self):
        default = (common.ROOT / "config/default.toml").read_text()
        drain = default.split("[drain]")[1].split("\n[")[0]
        self.assertIn('delay = "5s"', drain)
        self.assertIn('timeout = "20s"', drain)
        self.assertEqual(common.SERVICES["proxy"]["stop_grace_period"], "30s")

    def test_the_dockerfile_of_the_project_builds_the_image(self):
        for name in ("graph", "proxy"):
            self.assertEqual(common.SERVICES[name]["build"]["context"], ".")
        self.assertTrue((common.ROOT / "Dockerfile").is_file())


class Provisioning(unittest.TestCase):
    def test_promtool_accepts_configuration_and_rules(self):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("promtool is not here: run tools/setup.sh")
        with tempfile.TemporaryDirectory() as folder:
            for place, source in common.mounts("prometheus").items():
                shutil.copy(source, pathlib.Path(folder) / pathlib.Path(place).name)
            file = pathlib.Path(folder) / "prometheus.yml"
            file.write_text(file.read_text().replace("/etc/prometheus", folder))
            done = common.run(promtool, "check", "config", file)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_prometheus_reads_the_rules_that_are_mounted_and_scrapes_the_admin_port(self):
        configuration = common.provision("prometheus.yml")
        self.assertLessEqual(set(configuration["rule_files"]), set(common.mounts("prometheus")))
        [scrape] = configuration["scrape_configs"]
        [[target]] = [static["targets"] for static in scrape["static_configs"]]
        host, port = target.split(":")
        self.assertIn(host, common.SERVICES["graph"]["networks"]["default"]["aliases"])
        self.assertIn(f"127.0.0.1:9090:{port}", common.SERVICES["graph"]["ports"])

    def test_grafana_reads_the_dashboard_that_is_mounted(self):
        configuration = common.provision("grafana-dashboards.yaml")
        self.assertEqual(configuration["apiVersion"], 1)
        [provider] = configuration["providers"]
        folder = pathlib.PurePath(provider["options"]["path"])
        mounted = common.mounts("grafana").items()
        [(place, file)] = [(place, file) for place, file in mounted if pathlib.PurePath(place).parent == folder]
        self.assertEqual(json.loads(file.read_text())["uid"], "connector-cache")
        home = common.SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertEqual(home, place)

    def test_the_data_source_of_grafana_is_the_prometheus_of_the_file(self):
        configuration = common.provision("grafana-datasources.yaml")
        self.assertEqual(configuration["apiVersion"], 1)
        [source] = configuration["datasources"]
        self.assertEqual((source["type"], source["access"], source["isDefault"]), ("prometheus", "proxy", True))
        host, port = source["url"].removeprefix("http://").split(":")
        self.assertIn(host, common.SERVICES)
        self.assertIn(f"127.0.0.1:9091:{port}", common.SERVICES[host]["ports"])
        board = json.loads((common.ROOT / "helm/connector-cache/files/dashboard.json").read_text())
        [variable] = [one for one in board["templating"]["list"] if one["name"] == "datasource"]
        self.assertEqual(variable["query"], source["type"])
        scrape = common.provision("prometheus.yml")["global"]["scrape_interval"]
        self.assertEqual(source["jsonData"]["timeInterval"], scrape)

    def test_grafana_reads_provisioning_from_the_folders_that_are_mounted(self):
        names = {pathlib.PurePath(place).parent.name for place in common.mounts("grafana")}
        self.assertEqual(names, {"datasources", "dashboards"})


class Workflow(unittest.TestCase):
    """The example of a release, which is not active."""

    FILE = common.ROOT / "docs/examples/release.yml"

    def test_the_example_follows_the_schema_of_workflows(self):
        done = common.validate("vendor.github-workflows", self.FILE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_example_signs_what_it_pushes_and_uses_the_files_of_make_sbom(self):
        jobs = common.yaml.safe_load(self.FILE.read_text())["jobs"]
        script = "\n".join(step.get("run", "") for step in jobs["image"]["steps"])
        for part in ("make sbom", "linux/amd64,linux/arm64", "cosign sign", "cosign attest", "cosign verify"):
            self.assertIn(part, script)
        written = (common.ROOT / "tools/sbom.sh").read_text()
        self.assertIn("target/sbom/connector-cache-$architecture.cdx.json", script)
        self.assertIn("connector-cache-${pair%:*}.cdx.json", written)

    def test_every_script_of_the_example_is_valid_shell(self):
        jobs = common.yaml.safe_load(self.FILE.read_text())["jobs"]
        for step in jobs["image"]["steps"]:
            done = common.run("bash", "-n", "-c", step.get("run", ""))
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
