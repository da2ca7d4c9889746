"""The commands that the READMEs print for Helm are ones that both Helms take, as they are printed."""

import re
import shlex
import tempfile
import unittest

import common

PAGES = [common.ROOT / "README.md", common.CHART / "README.md"]
PAGES += [common.ROOT / "docs/deployment.md", common.ROOT / "docs/runbook.md"]
# What only a cluster can do. Without one the same is rendered.
OF_A_CLUSTER = {"--wait", "--create-namespace", "--reset-then-reuse-values"}
RENDERED = {"install", "upgrade"}
NOT_RUN = {"test", "rollback"}


def commands(page):
    """Every command for Helm in a page's blocks of shell, as a list of words."""
    for block in re.findall(r"^```sh(?: cluster)?\n(.*?)^```", page.read_text(), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            if words and words[0] == "helm":
                yield words[1:]


class Readme(unittest.TestCase):
    def test_every_command_that_needs_no_cluster_runs(self):
        seen = set()
        for page in PAGES:
            for verb, *words in commands(page):
                seen.add(verb)
                for helm in common.HELMS if verb not in NOT_RUN else ():
                    with self.subTest(page=page.name, verb=verb, helm=helm):
                        self.run_one(helm, verb, words)
        self.assertEqual(seen, RENDERED | NOT_RUN | {"lint", "template", "package"})

    def run_one(self, helm, verb, words):
        if verb in RENDERED:
            verb, words = "template", [word for word in words if word not in OF_A_CLUSTER]
        with tempfile.TemporaryDirectory() as directory:
            words = [directory if word == "target" else word for word in words]
            done = common.run(common.TOOLS / "bin" / helm, verb, *words, cwd=common.ROOT)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_dashboards_command_installs_all_that_it_takes(self):
        [words] = [words for verb, *words in commands(common.CHART / "README.md") if "dashboard.enabled=true" in words]
        words = [word for word in words if word not in OF_A_CLUSTER]
        objects = common.parse(common.run(common.TOOLS / "bin/helm4", "template", *words, cwd=common.ROOT).stdout)
        self.assertLessEqual({"ServiceMonitor", "PrometheusRule"}, common.kinds(objects))
        common.one(objects, "ConfigMap", "-dashboard")

    def test_the_address_that_callers_are_told_is_the_services(self):
        [words] = [words for verb, *words in commands(common.CHART / "README.md") if verb == "install"]
        words = [word for word in words if word not in OF_A_CLUSTER]
        objects = common.parse(common.run(common.TOOLS / "bin/helm4", "template", *words, cwd=common.ROOT).stdout)
        service = common.one(objects, "Service", "connector-cache")
        name, space = service["metadata"]["name"], service["metadata"]["namespace"]
        url = f"http://{name}.{space}.svc:{service['spec']['ports'][0]['port']}/beta"
        self.assertIn(f"`{url}`", (common.CHART / "README.md").read_text())


if __name__ == "__main__":
    unittest.main()
