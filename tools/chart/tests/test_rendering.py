"""Every shape renders, with both Helms and on two versions of Kubernetes, to objects that Kubernetes takes."""

import itertools
import json
import tomllib
import unittest

import kubernetes_validate

import common


class Rendering(unittest.TestCase):
    def test_every_shape_passes_the_strict_lint(self):
        for shape, helm in itertools.product(common.SHAPES, common.HELMS):
            with self.subTest(shape.stem, helm=helm):
                done = common.run(common.TOOLS / "bin" / helm, "lint", "--strict", common.CHART, "--values", shape)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_both_helms_render_the_same_objects_that_kubernetes_takes(self):
        for shape, kube in itertools.product(common.SHAPES, common.KUBES):
            with self.subTest(shape.stem, kube=kube):
                by_helm = [common.render(helm=helm, kube=kube, files=[shape]) for helm in common.HELMS]
                key = lambda thing: (thing["kind"], thing["metadata"]["name"])
                first, second = (sorted(objects, key=key) for objects in by_helm)
                self.assertEqual(first, second)
                for thing in first:
                    if thing["kind"] not in common.FOREIGN:
                        kubernetes_validate.validate(thing, kube.removesuffix(".0"), strict=True)

    def test_the_check_of_kubernetes_schemas_finds_what_is_wrong(self):
        deployment = common.one(common.shape(common.SHAPES[0]), "Deployment")
        for bad in ({"replicaz": 1}, {"replicas": "two"}):
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate({**deployment, "spec": {**deployment["spec"], **bad}}, "1.37", strict=True)

    def test_the_kinds_of_operators_pass_their_own_schemas(self):
        objects = [o for shape in common.SHAPES for o in common.shape(shape) if o["kind"] in common.FOREIGN]
        self.assertEqual(common.kinds(objects), common.FOREIGN)
        done = self.operator_kinds(objects)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_check_of_operators_schemas_finds_what_is_wrong(self):
        monitor = common.one(common.render({"serviceMonitor": {"enabled": True}}), "ServiceMonitor")
        monitor["spec"]["endpoints"][0]["interval"] = "soon"
        done = self.operator_kinds([monitor])
        self.assertEqual(done.returncode, 1)
        self.assertIn("interval", done.stdout)

    def operator_kinds(self, objects):
        return common.run("node", common.ROOT / "tools/chart/operator-kinds.mjs", input=json.dumps(objects))

    def test_with_everything_on_every_kind_is_there(self):
        kinds = common.kinds(common.shape(common.CHART / "ci/everything-values.yaml"))
        self.assertEqual(
            kinds,
            common.FOREIGN
            | {"ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "Pod"}
            | {"PodDisruptionBudget", "Service", "ServiceAccount"},
        )

    def test_with_everything_off_only_what_is_needed_is_left(self):
        objects = common.shape(common.CHART / "ci/minimal-values.yaml")
        installed = sorted(o["kind"] for o in objects if not common.is_hook(o))
        self.assertEqual(installed, ["ConfigMap", "Deployment", "Service", "Service"])
        self.assertNotIn("securityContext", common.pod_of(objects)["spec"])

    def test_the_readme_is_what_the_values_say(self):
        done = common.run(common.TOOLS / "python/bin/python", common.ROOT / "tools/chart/generate_readme.py", "--check")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_chart_has_the_version_of_the_binary(self):
        binary = tomllib.loads((common.ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        chart = common.yaml.safe_load((common.CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (binary, binary))
        self.assertIn(f"connector-cache:{binary}", chart["annotations"]["artifacthub.io/images"])

    def test_the_chart_packs_without_its_tests_values(self):
        done = common.run(
            common.TOOLS / "bin/helm4", "package", common.CHART, "--destination", common.ROOT / "target/tools/package"
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        packed = common.run("tar", "tzf", done.stdout.split(": ")[1].strip()).stdout.split()
        self.assertIn("connector-cache/values.schema.json", packed)
        self.assertFalse([file for file in packed if "/ci/" in file])


if __name__ == "__main__":
    unittest.main()
