"""Compares what schemathesis does not: 405 with `Allow` for each method that a path does not list, and the console's stream.

Usage: rest.py DOCUMENT URL [--header "Authorization: Bearer TOKEN"]
"""

import http.client
import json
import re
import sys
import urllib.parse

import jsonschema_rs
import yaml

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def send(method, path):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=10)
    connection.request(method, path, headers=fields)
    return connection.getresponse()


def of_document(reference):
    """Returns the value that a reference names."""
    if "$ref" not in reference:
        return reference
    value = described
    for name in reference["$ref"].split("/")[1:]:
        value = value[name]
    return value


def check(schema, value, what):
    full = {"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema], "components": described["components"]}
    for error in jsonschema_rs.validator_for(full).iter_errors(value):
        sys.exit(f"rest: {what}: {error.message} at {list(error.instance_path)}")


def check_methods(template, operations):
    values = {one["name"]: one for one in operations.get("parameters", []) if one["in"] == "path"}
    value = lambda name: values[name].get("example") or values[name]["schema"]["enum"][0]
    path = re.sub(r"\{(\w+)\}", lambda name: value(name[1]), template)
    listed = {method for method in METHODS if method.lower() in operations}
    for method in sorted(set(METHODS) - listed):
        response, what = send(method, path), f"{method} {template}"
        if response.status != 405:
            sys.exit(f"rest: {what}: status {response.status}, and the document does not list the method")
        if set(response.headers["allow"].split(", ")) != listed:
            sys.exit(f"rest: {what}: Allow: {response.headers['allow']}, and the document lists {sorted(listed)}")
        described_405 = of_document(operations["get"]["responses"]["405"])
        for name, header in described_405["headers"].items():
            check(header["schema"], response.headers[name], f"{what}, {name}")
        check(described_405["content"]["application/json"]["schema"], json.load(response), what)
    return len(METHODS) - len(listed)


def check_stream():
    response, operation = send("GET", "/console/stream"), described["paths"]["/console/stream"]["get"]["responses"]
    if str(response.status) not in operation:
        sys.exit(f"rest: stream: status {response.status} is not in the document")
    if response.status == 200:
        if response.headers.get_content_type() not in operation["200"]["content"]:
            sys.exit(f"rest: stream: {response.headers.get_content_type()} is not in the document")
        for name in ("ConsoleData", "ConsoleFrame", "ConsoleFrame"):
            check({"$ref": f"#/components/schemas/{name}"}, json.loads(response.readline()), f"stream, {name}")
    return response.status


file, url, *header = sys.argv[1:]
with open(file, encoding="utf-8") as text:
    described = yaml.safe_load(text)
fields = dict([header[1].split(": ", 1)]) if header else {}
count = sum(check_methods(path, operations) for path, operations in described["paths"].items())
print(f"rest: {count} responses with 405, as in the document")
if "/console/stream" in described["paths"]:
    print(f"rest: stream: {check_stream()}, as in the document")
