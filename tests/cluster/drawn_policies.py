"""AuditPolicies of every sort, the same for the same seed: what selects, what decides, and what spares."""

from __future__ import annotations

from random import Random
from typing import Any

from iocaudit.engine.catalogue import builtin_catalogue

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
_CHECKS = sorted(check.id for check in CATALOGUE if not check.audit_only and not check.parameters)
_GROUPS = sorted(CATALOGUE.groups)
_KINDS = ["Pod", "Deployment", "Deployment.apps", "*Role", "*RoleBinding", "Service", "Job", "D*", "*.apps"]


def drawn_policies(seed: int, users: list[Json]) -> list[Json]:
    """One to three policies. ``users`` are the subjects that may be named."""
    random = Random(seed)
    return [_policy(random, f"drawn-{number}", users) for number in range(random.choice([1, 1, 2, 3]))]


def _policy(random: Random, name: str, users: list[Json]) -> Json:
    spec: Json = {"priority": random.randint(-5, 5)}
    if random.random() < 0.5:
        spec["preset"] = random.choice(["guard", "lockdown", "lockdown"])
    if "preset" not in spec or random.random() < 0.7:
        spec["checks"] = [_rule(random) for _ in range(random.choice([1, 2, 3]))]
    if match := _match(random, users):
        spec["match"] = match
    if random.random() < 0.3:
        spec["exemptSubjects"] = [random.choice(users)]
    for field, values in (
        ("onIncomplete", ["warn", "deny"]),
        ("onFault", ["allow", "deny"]),
        ("existing", ["warn", "deny"]),
        ("images", ["repository", "exact"]),
    ):
        if random.random() < 0.3:
            spec[field] = random.choice(values)
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def _rule(random: Random) -> Json:
    modes = ["deny", "deny", "deny", "warn", "audit", "off"]
    rule: Json = {"mode": random.choice(modes)}
    what = random.random()
    if what < 0.5:
        rule["ids"] = sorted(random.sample(_CHECKS, random.randint(1, 12)))
    elif what < 0.8:
        rule["groups"] = sorted(random.sample(_GROUPS, random.randint(1, 3)))
    else:
        rule["profiles"] = random.choice([["default"], ["strict"], ["default", "strict"]])
    if random.random() < 0.2:
        rule["severity"] = random.choice(["low", "medium", "high", "critical"])
    return rule


def _match(random: Random, users: list[Json]) -> Json:
    match: Json = {}
    where = random.random()
    if where < 0.3:
        match["namespaces"] = [f"*{random.randint(0, 9)}*" for _ in range(random.choice([1, 2]))]
        match["clusterScoped"] = random.choice([True, False])
    elif where < 0.4:
        match["namespaceSelector"] = {"matchLabels": {"team": random.choice(["red", "blue"])}}
    elif where < 0.5:
        match["excludeNamespaces"] = [f"*{random.randint(0, 9)}"]
    if random.random() < 0.2 and match.get("clusterScoped") is not False:
        match["kinds"] = sorted(random.sample(_KINDS, 2))
    if random.random() < 0.2:
        match["operations"] = random.choice([["CREATE"], ["UPDATE"], ["CREATE", "UPDATE"]])
    if random.random() < 0.25:
        match[random.choice(["subjects", "excludeSubjects"])] = [random.choice(users)]
    return match
