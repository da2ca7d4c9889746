"""The JSON schema of the configuration, which the binary prints, accepts what the binary accepts."""

import json
import tomllib
import unittest

import jsonschema

import common

# A file, and whether it is valid.
FILES = [
    ('[cache]\nttl = "1m 30s"\nmax_bytes = 67108864\n', True),
    ('[cache]\nmax_bytes = "1.5GiB"\n', True),
    ('[cache]\nmax_bytes = "64 MiB"\n', True),
    ('[server]\nthreads = "2"\n', True),
    ('[scrub]\nallow_fields = ["a"]\nkeep_query = "a, b"\n', True),
    ('[listen]\naddress = "[::]:8080"\n[listen.tls]\n', True),
    ('[graph]\nbase_url = "https://graph.microsoft.us"\n', True),
    ('[cache]\ntll = "5m"\n', False),
    ('[cache]\nttl = 5\n', False),
    ('[cache]\nttl = "5"\n', False),
    ('[cache]\nfreshness = "none"\n', False),
    ('[server]\nthreads = 0\n', False),
    ('[server]\nthreads = 2000\n', False),
    ('[graph]\nbase_url = "graph.microsoft.com"\n', False),
    ('[shared]\nurl = "redis://user:word@valkey"\n', False),
    ('[listen]\naddress = 8080\n', False),
]


class ConfigSchema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = common.run(common.BINARY, "check", "--schema", env={})
        assert done.returncode == 0, done.stderr
        cls.validator = jsonschema.Draft7Validator(json.loads(done.stdout))

    def errors(self, text):
        return [error.message for error in self.validator.iter_errors(tomllib.loads(text))]

    def test_the_schema_is_one(self):
        jsonschema.Draft7Validator.check_schema(self.validator.schema)

    def test_the_default_file_is_valid_with_and_without_its_examples(self):
        text = (common.ROOT / "config/default.toml").read_text()
        self.assertEqual(self.errors(text), [])
        lines = [line[1:] if line[:1] == "#" and line[1:2].isalpha() else line for line in text.splitlines()]
        self.assertEqual(self.errors("\n".join(lines)), [])

    def test_the_schema_and_the_binary_agree(self):
        for text, valid in FILES:
            with self.subTest(text=text):
                self.assertEqual(not self.errors(text), valid, self.errors(text))
                done = common.run(common.BINARY, "check", "--config", "/dev/stdin", input=text, env={})
                self.assertEqual(done.returncode == 0, valid, done.stderr)


if __name__ == "__main__":
    unittest.main()
