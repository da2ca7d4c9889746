"""What linters with long experience say of the chart, the image and the scripts."""

import os
import pathlib
import shutil
import tempfile
import unittest

import kit

SCRIPTS = [kit.ROOT / ".docker" / name for name in ("bases", "build", "try")]
SCRIPTS += [kit.ROOT / ".helm" / name for name in ("test", "tools")]


def checkov(directory):
    """Rules for what is rendered, for the chart as it is, and for the Dockerfile, but for .helm/checkov.yaml."""
    return kit.run(
        kit.TOOLS / "python/bin/checkov",
        *("--directory", directory, "--framework", "kubernetes", "helm", "dockerfile"),
        *("--config-file", kit.ROOT / ".helm/checkov.yaml", "--quiet", "--compact", "--skip-download"),
        # It looks for a helm on the path.
        env={**os.environ, "PATH": f"{kit.TOOLS}/bin:{os.environ['PATH']}", "ANSI_COLORS_DISABLED": "1"},
    )


class Hardening(unittest.TestCase):
    def test_checkov_finds_nothing_but_what_is_left_out_with_a_reason(self):
        with tempfile.TemporaryDirectory() as directory:
            place = pathlib.Path(directory)
            shutil.copytree(kit.CHART, place / "chart")
            shutil.copy(kit.ROOT / "Dockerfile", place)
            for shape in ("default", "everything"):
                done = kit.template(files=[kit.CHART / f"ci/{shape}-values.yaml"])
                (place / f"{shape}.yaml").write_text(done.stdout)
            done = checkov(place)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_checkov_finds_what_is_wrong(self):
        with tempfile.TemporaryDirectory() as directory:
            loose = {"securityContext": {"allowPrivilegeEscalation": True}}
            (pathlib.Path(directory) / "loose.yaml").write_text(kit.template(loose).stdout)
            done = checkov(directory)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("CKV_K8S_20", done.stdout)

    def test_hadolint_finds_nothing(self):
        done = kit.run(kit.TOOLS / "python/bin/hadolint", kit.ROOT / "Dockerfile")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_shellcheck_finds_nothing(self):
        done = kit.run(kit.TOOLS / "python/bin/shellcheck", "--external-sources", "--source-path", kit.ROOT, *SCRIPTS)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


if __name__ == "__main__":
    unittest.main()
