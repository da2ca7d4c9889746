"""Compares the first lines of the console's stream with admin.yaml. Usage: stream.py DOCUMENT ADMIN_URL [--header BEARER]"""

import http.client
import json
import sys
import urllib.parse

import jsonschema_rs
import yaml

document, url, *header = sys.argv[1:]
with open(document, encoding="utf-8") as file:
    described = yaml.safe_load(file)
connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=10)
connection.request("GET", "/console/stream", headers={"Authorization": header[1]} if header else {})
response = connection.getresponse()
operation = described["paths"]["/console/stream"]["get"]["responses"]
if str(response.status) not in operation:
    sys.exit(f"stream: status {response.status} is not in the document")
if response.status == 200:
    if response.headers.get_content_type() not in operation["200"]["content"]:
        sys.exit(f"stream: {response.headers.get_content_type()} is not in the document")
    for name in ("ConsoleData", "ConsoleFrame", "ConsoleFrame"):
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": f"#/components/schemas/{name}"}
        validator = jsonschema_rs.validator_for(schema | {"components": described["components"]})
        for error in validator.iter_errors(json.loads(response.readline())):
            sys.exit(f"stream: a line is no {name}: {error.message} at {list(error.instance_path)}")
print(f"stream: {response.status}, as in the document")
