"""What the image is built from is enough to build it. The build itself is `make image`."""

import os
import pathlib
import shutil
import tempfile
import unittest

import common


def context(place):
    """Copies what .dockerignore lets in: nothing but the names that it brings back."""
    lines = (common.ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "the context is a list of what may come in"
    for name in (line[1:] for line in lines if line.startswith("!")):
        source = common.ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name)
        else:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place / name)


class Image(unittest.TestCase):
    def test_cargo_takes_the_manifest_without_what_stays_outside(self):
        with tempfile.TemporaryDirectory() as directory:
            context(pathlib.Path(directory))
            # It looks for the targets before it asks for a compiler, and there is none: that is how far it has to come.
            command = ["cargo", "check", "--offline", "--locked"]
            done = common.run(*command, cwd=directory, env={**os.environ, "RUSTC": "no-compiler-on-purpose"})
            self.assertIn("no-compiler-on-purpose", done.stderr)


if __name__ == "__main__":
    unittest.main()
