"""What linters with long experience say of the chart, the image and the scripts."""

import os
import pathlib
import shutil
import tempfile
import unittest

import common

SCRIPTS = sorted((common.ROOT / "tools").rglob("*.sh"))


def checkov(directory):
    """Rules for what is rendered, for the chart as it is, and for the Dockerfile, but for tools/chart/checkov.yaml."""
    return common.run(
        common.TOOLS / "python/bin/checkov",
        *("--directory", directory, "--framework", "kubernetes", "helm", "dockerfile"),
        *("--config-file", common.ROOT / "tools/chart/checkov.yaml", "--quiet", "--compact", "--skip-download"),
        # It looks for a helm on the path.
        env={**os.environ, "PATH": f"{common.TOOLS}/bin:{os.environ['PATH']}", "ANSI_COLORS_DISABLED": "1"},
    )


class Hardening(unittest.TestCase):
    def test_checkov_finds_nothing_but_what_is_left_out_with_a_reason(self):
        with tempfile.TemporaryDirectory() as directory:
            place = pathlib.Path(directory)
            shutil.copytree(common.CHART, place / "chart")
            shutil.copy(common.ROOT / "Dockerfile", place)
            for shape in ("default", "everything"):
                done = common.template(files=[common.CHART / f"ci/{shape}-values.yaml"])
                (place / f"{shape}.yaml").write_text(done.stdout)
            done = checkov(place)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_checkov_finds_what_is_wrong(self):
        with tempfile.TemporaryDirectory() as directory:
            loose = {"securityContext": {"allowPrivilegeEscalation": True}}
            (pathlib.Path(directory) / "loose.yaml").write_text(common.template(loose).stdout)
            done = checkov(directory)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("CKV_K8S_20", done.stdout)

    def test_hadolint_finds_nothing(self):
        done = common.run(common.TOOLS / "python/bin/hadolint", common.ROOT / "Dockerfile")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_shellcheck_finds_nothing(self):
        options = ("--external-sources", "--source-path", common.ROOT)
        done = common.run(common.TOOLS / "python/bin/shellcheck", *options, *SCRIPTS)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


if __name__ == "__main__":
    unittest.main()
