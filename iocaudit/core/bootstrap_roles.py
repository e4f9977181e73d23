"""Rules of the roles a cluster is born with that would be flagged in any other role.

By exact role name and rule, never by name or label alone: both are free to choose for whoever may write
roles. Read from a fresh Kubernetes 1.36 control plane; a rule that was edited is flagged.
"""

import json
from functools import cache
from importlib.resources import files

from iocaudit.core.rbac import Rule
from iocaudit.core.resource import Resource


@cache
def _known() -> dict[str, frozenset[str]]:
    text = files("iocaudit.core").joinpath("bootstrap_roles.json").read_text("utf-8")
    return {name: frozenset(rules) for name, rules in json.loads(text).items()}


def is_bootstrap_rule(role: Resource, rule: Rule) -> bool:
    """Whether this very rule belongs to the cluster's own role of this kind, namespace and name."""
    key = f"{role.kind_name}/{role.namespace or ''}/{role.name}"
    return rule.canonical in _known().get(key, frozenset())
