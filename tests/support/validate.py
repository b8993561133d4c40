#!/usr/bin/env python3
"""Validates reports, one JSON document a line on standard input, against a JSON Schema.

Stricter than the schema: a key that it does not describe is a fault. Exits with 1 after telling
every fault, with 77 when there is no validator here (Debian: python3-jsonschema).
"""
import json
import sys

try:
    from jsonschema import Draft202012Validator
except ImportError as error:
    print(f"no validator: {error}", file=sys.stderr)
    sys.exit(77)


def strict(schema):
    """Forbids keys that are not described."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema["additionalProperties"] = False
        for value in schema.values():
            strict(value)
    elif isinstance(schema, list):
        for value in schema:
            strict(value)
    return schema


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(strict(schema))
    faults = 0
    for number, line in enumerate(sys.stdin, 1):
        for error in validator.iter_errors(json.loads(line)):
            print(f"document {number}: {error.json_path}: {error.message}")
            faults += 1
    return min(faults, 1)


sys.exit(main())
