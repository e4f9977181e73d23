"""What a rule of an AuditPolicy (``spec.rules[]``) may hold, and how much of each, as the CRD has it."""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.engine.bounds import FieldBounds
from iocaudit.engine.fields import LIST, KnownFields, nearest
from iocaudit.knowledge.clipping import clip

RULE_FIELDS: KnownFields = {
    "spec.rules[]": frozenset(
        {"cel", "description", "fix", "iocs", "kinds", "mode", "name", "needs", "operations", "parameters"}
        | {"podTemplates", "rego", "severity", "title"}
    ),
    "spec.rules[].rego": frozenset({"libraries", "module"}),
    "spec.rules[].cel": frozenset({"matchConditions", "validations", "variables"}),
    "spec.rules[].cel.validations[]": frozenset({"expression", "message", "messageExpression"}),
    "spec.rules[].cel.variables[]": frozenset({"expression", "name"}),
    "spec.rules[].cel.matchConditions[]": frozenset({"expression", "name"}),
}
RULE_BOUNDS: FieldBounds = {
    "spec.rules": 20,
    "spec.rules[].name": 41,
    "spec.rules[].title": 120,
    "spec.rules[].description": 4096,
    "spec.rules[].fix": 1024,
    "spec.rules[].iocs": 10,
    "spec.rules[].kinds": 64,
    "spec.rules[].kinds[]": 253,
    "spec.rules[].needs": 8,
    "spec.rules[].needs[]": 253,
    "spec.rules[].operations": 2,
    "spec.rules[].parameters": 32,
    "spec.rules[].rego.module": 65_536,
    "spec.rules[].rego.libraries": 8,
    "spec.rules[].rego.libraries[]": 65_536,
    "spec.rules[].cel.validations": 32,
    "spec.rules[].cel.validations[].expression": 8192,
    "spec.rules[].cel.validations[].message": 1024,
    "spec.rules[].cel.validations[].messageExpression": 4096,
    "spec.rules[].cel.variables": 32,
    "spec.rules[].cel.variables[].name": 63,
    "spec.rules[].cel.variables[].expression": 8192,
    "spec.rules[].cel.matchConditions": 64,
    "spec.rules[].cel.matchConditions[].name": 317,
    "spec.rules[].cel.matchConditions[].expression": 8192,
}

RULE_PREFIXES = ("rego-", "cel-")
RULE_GROUPS = frozenset({"cel", "rego"})
"""How the ids of rules in languages of their own begin, and the groups that they are in."""


_FROM = ": it is known where the policy that declares it, or `--rego` with its folder, is given as well"


def no_check(name: str) -> str:
    """What is said of an id that is not known."""
    return f"there is no {'rule' if name.startswith(RULE_PREFIXES) else 'check'} {clip(repr(name))}"


def near_check(name: str, known: Iterable[str]) -> str:
    """The ids that are near to one that is not known, else where more of them are: those of rules near to a rule."""
    if not name.startswith(RULE_PREFIXES):
        return nearest(name, known, otherwise=LIST)
    return nearest(name, (one for one in known if one.startswith(RULE_PREFIXES)), otherwise=_FROM)


def owner_of(policy: str) -> str:
    """How ``Rule.where`` begins for each rule of a policy."""
    return f"AuditPolicy {policy}, "


def place_of(config_map: str, key: str = "") -> str:
    """``Rule.where`` of a rule in a key of a ConfigMap; without a key, how that begins for each of its rules."""
    return f"ConfigMap {config_map}, data[" + (f"{key!r}]" if key else "")


def key_of(where: str) -> str:
    """The key of a ConfigMap in which a rule stands."""
    return where.partition("data[")[2].strip("]'\"")


def config_map_of(where: str) -> str:
    """The name of that ConfigMap."""
    return where.removeprefix("ConfigMap ").partition(", data[")[0]
