"""Every shape renders, with both Helms and on two versions of Kubernetes, to objects that Kubernetes takes."""

import itertools
import json
import tomllib
import unittest

import kubernetes_validate

import kit


class Rendering(unittest.TestCase):
    def test_every_shape_passes_the_strict_lint(self):
        for shape, helm in itertools.product(kit.SHAPES, kit.HELMS):
            with self.subTest(shape.stem, helm=helm):
                done = kit.run(kit.TOOLS / "bin" / helm, "lint", "--strict", kit.CHART, "--values", shape)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_both_helms_render_the_same_objects_that_kubernetes_takes(self):
        for shape, kube in itertools.product(kit.SHAPES, kit.KUBES):
            with self.subTest(shape.stem, kube=kube):
                by_helm = [kit.render(helm=helm, kube=kube, files=[shape]) for helm in kit.HELMS]
                key = lambda thing: (thing["kind"], thing["metadata"]["name"])
                first, second = (sorted(objects, key=key) for objects in by_helm)
                self.assertEqual(first, second)
                for thing in first:
                    if thing["kind"] not in kit.FOREIGN:
                        kubernetes_validate.validate(thing, kube.removesuffix(".0"), strict=True)

    def test_the_check_of_kubernetes_schemas_finds_what_is_wrong(self):
        deployment = kit.one(kit.shape(kit.SHAPES[0]), "Deployment")
        for bad in ({"replicaz": 1}, {"replicas": "two"}):
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate({**deployment, "spec": {**deployment["spec"], **bad}}, "1.37", strict=True)

    def test_the_kinds_of_operators_pass_their_own_schemas(self):
        objects = [o for shape in kit.SHAPES for o in kit.shape(shape) if o["kind"] in kit.FOREIGN]
        self.assertEqual(kit.kinds(objects), kit.FOREIGN)
        done = self.operator_kinds(objects)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_check_of_operators_schemas_finds_what_is_wrong(self):
        monitor = kit.one(kit.render({"serviceMonitor": {"enabled": True}}), "ServiceMonitor")
        monitor["spec"]["endpoints"][0]["interval"] = "soon"
        done = self.operator_kinds([monitor])
        self.assertEqual(done.returncode, 1)
        self.assertIn("interval", done.stdout)

    def operator_kinds(self, objects):
        return kit.run("node", kit.ROOT / ".helm/operator-kinds.mjs", input=json.dumps(objects))

    def test_with_everything_on_every_kind_is_there(self):
        kinds = kit.kinds(kit.shape(kit.CHART / "ci/everything-values.yaml"))
        self.assertEqual(
            kinds,
            kit.FOREIGN
            | {"ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "Pod"}
            | {"PodDisruptionBudget", "Service", "ServiceAccount"},
        )

    def test_with_everything_off_only_what_is_needed_is_left(self):
        objects = kit.shape(kit.CHART / "ci/minimal-values.yaml")
        installed = sorted(o["kind"] for o in objects if not kit.is_hook(o))
        self.assertEqual(installed, ["ConfigMap", "Deployment", "Service", "Service"])
        self.assertNotIn("securityContext", kit.pod_of(objects)["spec"])

    def test_the_readme_is_what_the_values_say(self):
        done = kit.run(kit.TOOLS / "python/bin/python", kit.ROOT / ".helm/docs", "--check")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_chart_has_the_version_of_the_binary(self):
        binary = tomllib.loads((kit.ROOT / "Cargo.toml").read_text())["package"]["version"]
        chart = kit.yaml.safe_load((kit.CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (binary, binary))
        self.assertIn(f"connector-cache:{binary}", chart["annotations"]["artifacthub.io/images"])

    def test_the_chart_packs_without_its_tests_values(self):
        done = kit.run(
            kit.TOOLS / "bin/helm4", "package", kit.CHART, "--destination", kit.ROOT / "target/tools/package"
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        packed = kit.run("tar", "tzf", done.stdout.split(": ")[1].strip()).stdout.split()
        self.assertIn("connector-cache/values.schema.json", packed)
        self.assertFalse([file for file in packed if "/ci/" in file])


if __name__ == "__main__":
    unittest.main()
