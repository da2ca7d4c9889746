"""Whatever a release is called, its objects have names that Kubernetes takes."""

import re
import unittest

import kubernetes_validate

import common

LONGEST = "a-release-whose-name-is-as-long-as-a-name-may-be-0123"
NAMES = ["cc", "1", "9-lives", "a.b.c", "1.2", "connector-cache", LONGEST, LONGEST[:-2] + ".9", "x" * 53]
RFC_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
# YAML has other ideas of these where no quotes are around them.
NO_TEXTS_TO_YAML = ["true", "null", "off", "1e3", "007", "0x1f"]
EVERYTHING = common.CHART / "ci/everything-values.yaml"


def labels(thing):
    """All maps of labels and selectors in an object, at any depth."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key in ("labels", "matchLabels") and isinstance(value, dict):
                yield value
            else:
                yield from labels(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from labels(value)


class Names(unittest.TestCase):
    def check(self, objects):
        seen = set()
        for thing in objects:
            name = thing["metadata"]["name"]
            if not name.endswith("-text"):  # ci/everything-values.yaml makes that one itself
                self.assertRegex(name, f"^{RFC_1035.pattern}$", thing["kind"])
            self.assertNotIn((thing["kind"], name), seen)
            seen.add((thing["kind"], name))
            for map_of_labels in labels(thing):
                for value in map_of_labels.values():
                    self.assertTrue(LABEL.fullmatch(value), value)

    def test_every_release_name_makes_valid_names(self):
        self.assertEqual(len(LONGEST), 53)
        for name in NAMES:
            with self.subTest(name):
                self.check(common.render(name=name, files=[EVERYTHING]))
                self.check(common.render(name=name))

    def test_overrides_as_long_as_they_may_be_make_valid_names(self):
        for values in ({"nameOverride": "n" * 63}, {"fullnameOverride": "f" * 63}, {"fullnameOverride": "0"}):
            with self.subTest(str(values)):
                self.check(common.render(values, files=[EVERYTHING]))

    def test_a_name_that_yaml_could_take_for_something_else_stays_a_text(self):
        for word in NO_TEXTS_TO_YAML:
            named = {key: {"existingSecret": word} for key in ("tls", "admin")}
            named |= {"fullnameOverride": word, "priorityClassName": word, "serviceAccount": {"name": word}}
            with self.subTest(word):
                for thing in common.render(named, files=[EVERYTHING], name=word, space=word):
                    self.assertIsInstance(thing["metadata"]["name"], str)
                    # What extraObjects makes is not the chart's.
                    self.assertIn(thing["metadata"].get("namespace", word), [word])
                    if thing["kind"] not in common.FOREIGN:
                        kubernetes_validate.validate(thing, "1.37", strict=True)

    def test_two_long_names_with_the_same_beginning_stay_two(self):
        first, second = (common.one(common.render(name="y" * 52 + end), "Deployment") for end in "12")
        self.assertNotEqual(first["metadata"]["name"], second["metadata"]["name"])

    def test_a_release_called_like_the_chart_does_not_say_it_twice(self):
        self.assertEqual(
            common.one(common.render(name="connector-cache"), "Deployment")["metadata"]["name"], "connector-cache"
        )

    def test_labels_of_the_values_do_not_take_the_place_of_the_charts_own(self):
        stranger = {"app.kubernetes.io/name": "stranger", "app.kubernetes.io/component": "stranger"}
        objects = common.render({"commonLabels": stranger, "podLabels": stranger})
        selector = common.one(objects, "Deployment")["spec"]["selector"]["matchLabels"]
        self.assertLessEqual(selector.items(), common.pod_of(objects)["metadata"]["labels"].items())
        self.assertNotIn("stranger", selector.values())

    def test_a_service_chooses_the_pods_of_its_own_release_and_no_test(self):
        objects = common.render(name="one")
        pods = common.pod_of(objects)["metadata"]["labels"]
        tests = [o["metadata"]["labels"] for o in objects if common.is_hook(o)]
        other = common.pod_of(common.render(name="two"))["metadata"]["labels"]
        for suffix in ("-cache", "-admin"):
            selector = common.one(objects, "Service", suffix)["spec"]["selector"].items()
            self.assertLessEqual(selector, pods.items())
            for stranger in (other, *tests):
                self.assertFalse(selector <= stranger.items())


if __name__ == "__main__":
    unittest.main()
