"""The JSON schema of files of policy tests, for editors: it follows from what the reader knows."""

from __future__ import annotations

from iocaudit.core.check import PROFILES
from iocaudit.core.request import Operation
from iocaudit.core.shape import Json
from iocaudit.impact.policy_tests.expectations import CHECK_PARTS, TEXT_PARTS
from iocaudit.impact.policy_tests.model import API_VERSION, KIND, VerdictWord
from iocaudit.impact.policy_tests.reader import FIELDS

_TEXT: Json = {"type": "string", "minLength": 1}
_FILE_OR_OBJECT: Json = {"anyOf": [_TEXT, {"type": "object", "required": ["apiVersion", "kind"]}]}
_OBJECTS: Json = {"type": "array", "items": _FILE_OR_OBJECT}
_TEXTS: Json = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_CHECK: Json = {"type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"}
_WORD: Json = {"enum": [word.value for word in VerdictWord]}
_VERDICT: Json = {"anyOf": [_WORD, {"type": "array", "items": _WORD, "minItems": 1}]}

_TYPES: dict[str, tuple[str, Json]] = {
    "apiVersion": ("", {"const": API_VERSION}),
    "kind": ("", {"const": KIND}),
    "metadata": ("", {"$ref": "#/$defs/metadata"}),
    "annotations": ("", {"type": "object"}),
    "labels": ("", {"type": "object"}),
    "policies": ("AuditPolicies: files and folders, as seen from this file, or whole objects.", _OBJECTS),
    "waivers": ("IocWaivers: files and folders, as seen from this file, or whole objects.", _OBJECTS),
    "profile": ("What webhook and operator run with.", {"enum": list(PROFILES)}),
    "now": ("The time that the tests take as now, for waivers.", {"type": "string", "format": "date-time"}),
    "world": ("What is there already: FILE, FILE#NAME, or an object.", _OBJECTS),
    "request": ("Who asks for what; the innermost word counts.", {"$ref": "#/$defs/request"}),
    "tests": ("", {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/test"}}),
    "cases": ("Each shares object, changes and request.", {"type": "array", "items": {"$ref": "#/$defs/case"}}),
    "name": ("", _TEXT),
    "object": ("FILE, FILE#NAME, FILE#KIND/NAME, FILE#KIND/NAMESPACE/NAME, or an object.", _FILE_OR_OBJECT),
    "objects": ("Several: each has to be answered as expected.", {**_OBJECTS, "minItems": 1}),
    "oldObject": ("The object as it was: the request is an UPDATE.", _FILE_OR_OBJECT),
    "set": ('Paths such as spec.containers["app"].image, and what stands there.', {"type": "object"}),
    "remove": ("Paths of what is taken away.", {"type": "array", "items": _TEXT}),
    "expect": ("A verdict, or a map of what is expected.", {"anyOf": [_VERDICT, {"$ref": "#/$defs/expect"}]}),
    "verdict": ("", _VERDICT),
    "operation": ("", {"enum": [operation.value for operation in Operation]}),
    "user": ("", _TEXT),
    "groups": ("", {"type": "array", "items": _TEXT}),
    "serviceAccount": ("NAMESPACE/NAME.", {"type": "string", "pattern": "^[^/]+/[^/]+$"}),
    "namespace": ("", _TEXT),
    "subResource": ("", _TEXT),
    "dryRun": ("", {"type": "boolean"}),
    **dict.fromkeys(CHECK_PARTS, ("Ids of checks.", {"$ref": "#/$defs/checks"})),
    **dict.fromkeys(TEXT_PARTS, ("What is said.", {"$ref": "#/$defs/texts"})),
    "exactly": ("These and no others.", {"type": "array", "items": _CHECK}),
    "include": ("These, and maybe others.", {"type": "array", "items": _CHECK, "minItems": 1}),
    "exclude": ("None of these.", {"type": "array", "items": _CHECK, "minItems": 1}),
    "contains": ("", _TEXTS),
    "matches": ("Regular expressions.", _TEXTS),
    "lacks": ("", _TEXTS),
}
"""Each field with what it is, and its values."""
_MAPS = {
    "metadata": ("metadata", ()),
    "request": ("request", ()),
    "test": ("tests[]", ("name",)),
    "case": ("tests[].cases[]", ("name",)),
    "expect": ("tests[].expect", ()),
}
"""The maps that stand in several places, by the one of ``FIELDS``, and what is required in each."""


def schema() -> Json:
    """The schema; raises KeyError for a field of the reader that has no type here."""
    lists = {
        "checks": {
            "anyOf": [{"type": "array", "items": _CHECK, "minItems": 1}, _map(f"tests[].expect.{CHECK_PARTS[0]}")]
        },
        "texts": {"anyOf": [_TEXTS, _map(f"tests[].expect.{TEXT_PARTS[0]}")]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{KIND} of {API_VERSION}",
        **_map("", ("apiVersion", "kind", "tests")),
        "$defs": {**{name: _map(*of) for name, of in _MAPS.items()}, **lists},
    }


def _map(at: str, required: tuple[str, ...] = ()) -> Json:
    properties = {}
    for name in sorted(FIELDS[at]):
        told, values = _TYPES[name]
        properties[name] = {"description": told, **values} if told else values
    found: Json = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**found, "required": list(required)} if required else {**found, "minProperties": 1}
