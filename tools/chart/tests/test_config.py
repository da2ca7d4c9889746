"""The configuration that the chart renders is one that the proxy takes, and means what the values say."""

import json
import os
import re
import tempfile
import tomllib
import unittest
from concurrent.futures import ThreadPoolExecutor

import common

# Keys of the binary that the chart sets by values of its own, or that the binary refuses.
OF_THE_CHART = {"listen.address", "listen.tls.certificate", "listen.tls.key", "listen.tls.client_ca"}
OF_THE_CHART |= {"admin.address", "admin.token_file"}
REFUSED = {"shared.url", "shared.secret_file", "shared.ca_file", "shared.timeout"}


def check(text=None, env=()):
    """`connector-cache check` of this configuration."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text or "")
        file.flush()
        arguments = ["--config", file.name] if text is not None else []
        return common.run(common.BINARY, "check", *arguments, env={**dict(env), "PATH": os.environ["PATH"]})


def flat(table, prefix=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def effective(done):
    assert done.returncode == 0, done.stderr
    return dict(flat(tomllib.loads(done.stdout)))


def documented():
    """Every key of config/default.toml, those that are not set included."""
    lines = (common.ROOT / "config/default.toml").read_text().splitlines()
    return dict(
        flat(
            tomllib.loads(
                "\n".join(line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in lines)
            )
        )
    )


def bounded():
    """Key, least and most of every key whose comment in config/default.toml says so."""
    section, said = "", []
    for line in (common.ROOT / "config/default.toml").read_text().splitlines():
        key = re.match(r"#?(\w+) = ", line)
        if line.startswith("["):
            section, said = line.strip("[]"), []
        elif key:
            found = re.search(r"\b(\d\w*)(?: \(never\))? to (\d\w*)", " ".join(said))
            name = f"{section}.{key[1]}"
            if found and name not in OF_THE_CHART | REFUSED and not name.startswith(("scrub.", "shared.")):
                yield name, tuple(int(text) if text.isdigit() else text for text in found.groups())
            said = []
        else:
            said.append(line.strip("# "))


def outside(least, most):
    """The first values that are too small and too large."""
    if isinstance(most, int):
        return least - 1, most + 1
    if most.endswith("B"):
        units = {"KiB": 1 << 10, "MiB": 1 << 20, "TiB": 1 << 40}
        least, most = (int(text[:-3]) * units[text[-3:]] for text in (least, most))
        return least - 1, most + 1
    too_small = [] if least == "0s" else ["0s"]
    return *too_small, f"{most} 1ms"


def nested(pairs):
    """Sections of a table by dotted keys."""
    table = {}
    for key, value in dict(pairs).items():
        section, name = key.split(".")
        table.setdefault(section, {})[name] = value
    return table


class Config(unittest.TestCase):
    def test_the_binary_takes_the_configuration_of_every_shape(self):
        for shape in common.SHAPES:
            with self.subTest(shape.stem):
                objects = common.shape(shape)
                done = check(common.config_of(objects), common.variables_of(objects).items() - {("HTTPS_PROXY", "")})
                # The files of the pod are not on this machine, and TLS may be the task of the cluster.
                others = [line for line in done.stderr.splitlines() if "connector-cache: warning: " not in line]
                self.assertEqual((done.returncode, others), (0, []))

    def test_the_binary_refuses_what_it_does_not_know(self):
        self.assertEqual(check('[cache]\ntll = "5m"\n').returncode, 64)

    def test_the_values_defaults_are_the_binarys_own(self):
        own, charts = effective(check()), effective(check(common.config_of(common.render())))
        # On a terminal the binary writes text; a pod has none.
        self.assertEqual(charts, {**own, "log.format": "json"})

    def test_every_key_of_the_binary_has_a_value(self):
        values = common.yaml.safe_load((common.CHART / "values.yaml").read_text())["config"]
        self.assertEqual({key for key, _ in flat(values)}, set(documented()) - OF_THE_CHART - REFUSED)

    def test_the_chart_takes_of_each_key_what_the_binary_takes_and_no_more(self):
        bounds = dict(bounded())
        self.assertGreater(len(bounds), 30)
        for end in (0, 1):
            self.take({key: pair[end] for key, pair in bounds.items()})
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            beyond = [(key, value) for key, pair in bounds.items() for value in outside(*pair)]
            for (key, value), (chart, binary) in zip(beyond, pool.map(self.refusals, beyond), strict=True):
                with self.subTest(key, value=value):
                    self.assertIn(key.split(".")[-1], chart)
                    self.assertIn(key, binary)

    def take(self, values):
        """Both take all of these at once."""
        room = {"resources": {"limits": {"memory": None}}, "terminationGracePeriodSeconds": 86400}
        done = check(common.config_of(common.render({"config": nested(values), **room})))
        self.assertEqual(done.returncode, 0, done.stderr)

    def refusals(self, pair):
        """What chart and binary say of a value that neither takes."""
        values = nested([pair])
        chart = common.template({"config": values, "resources": {"limits": {"memory": None}}})
        literal = json.dumps(pair[1])
        [(section, _)] = values.items()
        binary = check(f"[{section}]\n{pair[0].split('.')[1]} = {literal}\n")
        self.assertNotEqual(chart.returncode, 0)
        self.assertEqual(binary.returncode, 64)
        return chart.stderr, binary.stderr

    def test_every_value_reaches_the_binary(self):
        shape = common.CHART / "ci/everything-values.yaml"
        objects = common.shape(shape)
        got = effective(check(common.config_of(objects), common.variables_of(objects).items()))
        for key, value in flat(common.yaml.safe_load(shape.read_text())["config"]):
            expected = {"cache.ttl": "2m", "limits.header_bytes": "64KiB"}.get(key, value)
            self.assertEqual(got[key], expected, key)
        self.assertEqual(got["listen.address"], "[::]:8443")
        self.assertEqual(got["admin.address"], "[::]:9191")
        self.assertEqual(got["listen.tls.certificate"], "/etc/connector-cache/tls/tls.crt")
        self.assertEqual(got["admin.token_file"], "/etc/connector-cache/admin/token")

    def test_a_cloud_is_asked_at_its_own_address_unless_a_base_url_is_given(self):
        clouds = {
            "global": "https://graph.microsoft.com",
            "usgov-l4": "https://graph.microsoft.us",
            "usgov-l5": "https://dod-graph.microsoft.us",
            "china": "https://microsoftgraph.chinacloudapi.cn",
        }
        base_url = lambda values: tomllib.loads(common.config_of(common.render(values)))["graph"]["base_url"]
        for cloud, url in clouds.items():
            self.assertEqual(base_url({"cloud": cloud}), url)
        given = {"cloud": "china", "config": {"graph": {"base_url": "https://graph.example"}}}
        self.assertEqual(base_url(given), "https://graph.example")

    def test_the_address_is_a_variable_since_the_images_own_would_win_over_the_file(self):
        image = (common.ROOT / "Dockerfile").read_text()
        for name in common.variables_of(common.render()):
            self.assertIn(f"{name}=", image)


if __name__ == "__main__":
    unittest.main()
