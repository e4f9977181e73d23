"""One PolicyRule, read as the RBAC authorizer reads it.

Source: Kubernetes, pkg/apis/rbac/v1/evaluation_helpers.go: verbs and groups match exactly or by ``*``;
a resource matches exactly, by ``*`` (subresources too) or by ``*/subresource``; ``pods/*`` matches nothing else.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from iocaudit.core.resource import Resource
from iocaudit.core.shape import items, mappings, strings
from iocaudit.knowledge.rbac.names import may_be_named

RBAC_GROUP = "rbac.authorization.k8s.io"
READS = frozenset({"get", "list", "watch"})
WRITES = ("create", "update", "patch", "delete", "deletecollection")
_WITHOUT_NAME = frozenset({"create", "list", "watch", "deletecollection", "*"})
"""The verbs of requests that name no object."""
_MOST_LETTERS = 8_000
_MOST_LISTED = 6
_EVERY_VERB = READS | {"create", "update", "patch", "delete"}


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A PolicyRule. Empty ``names`` means every object."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    is_huge: bool = field(init=False, compare=False)
    """Whether it is too long to be kept anywhere but in its role: requests bring rules, of up to three megabytes."""

    def __post_init__(self) -> None:
        lists = (self.verbs, self.groups, self.resources, self.names, self.urls)
        object.__setattr__(self, "is_huge", sum(map(len, chain(*lists))) > _MOST_LETTERS)

    @staticmethod
    def of(raw: Mapping[str, Any]) -> "PolicyRule":
        verbs = frozenset(strings(raw.get("verbs")))
        names = _texts(raw.get("resourceNames"))
        # A request for no single object has the empty name: anyone who is given that one is given them all.
        if "" in names and not verbs.isdisjoint(_WITHOUT_NAME):
            names = frozenset()
        return PolicyRule(
            verbs,
            _texts(raw.get("apiGroups")),
            frozenset(strings(raw.get("resources"))),
            names,
            frozenset(strings(raw.get("nonResourceURLs"))),
        )

    @property
    def canonical(self) -> str:
        """One spelling, whatever the order of its lists."""
        parts = {
            "apiGroups": sorted(self.groups),
            "resources": sorted(self.resources),
            "resourceNames": sorted(self.names),
            "nonResourceURLs": sorted(self.urls),
            "verbs": sorted(self.verbs),
        }
        return json.dumps({name: value for name, value in parts.items() if value}, separators=(",", ":"))

    def allows_verb(self, verb: str) -> bool:
        return verb in self.verbs or "*" in self.verbs

    def covers(self, group: str, resource: str) -> bool:
        """Whether it speaks of a resource (``pods`` or ``pods/exec``) of a group."""
        if group not in self.groups and "*" not in self.groups:
            return False
        if resource in self.resources or "*" in self.resources:
            return True
        _, slash, subresource = resource.partition("/")
        return bool(slash) and f"*/{subresource}" in self.resources

    def allows(self, verb: str, group: str, resource: str, name: str | None = None) -> bool:
        """Whether it allows a request. ``name`` None asks for some object at least, else for that very one.

        A create of a whole object and a deletecollection carry no name, so a rule with names never
        allows them (but see ``applies``).
        """
        if not (self.allows_verb(verb) and self.covers(group, resource)):
            return False
        if not self.names:
            return True
        if verb == "deletecollection" or (verb == "create" and "/" not in resource):
            return False
        return any(may_be_named(resource, one) for one in self.names) if name is None else name in self.names

    def applies(self, group: str, resource: str) -> bool:
        """Whether it lets objects of its names be made by a server-side apply: that asks for both verbs by name.

        Source: the API server's handler of patches, which authorizes the creation with the name in the path.
        """
        return self.allows_verb("create") and self.allows("patch", group, resource)

    def allows_url(self, verb: str, url: str) -> bool:
        """Whether it allows a request outside the resources: exact, ``*``, or a prefix that ends in ``*``."""
        return self.allows_verb(verb) and any(
            rule == "*" or rule == url or (rule.endswith("*") and url.startswith(rule.rstrip("*")))
            for rule in self.urls
        )

    @property
    def is_everything(self) -> bool:
        """Every verb on every resource of every group: the power of cluster-admin."""
        return self.verbs_on_everything >= _EVERY_VERB

    @property
    def verbs_on_everything(self) -> frozenset[str]:
        """The verbs it allows on every resource of every group, ``*`` spelled out."""
        if "*" not in self.groups or "*" not in self.resources or self.names:
            return frozenset()
        return self.verbs | _EVERY_VERB if "*" in self.verbs else self.verbs


def _texts(raw: object) -> frozenset[str]:
    """The texts of a list in which an empty one means something: a null in it decodes to that."""
    return frozenset("" if one is None else one for one in items(raw) if one is None or isinstance(one, str))


def is_everything(rules: Iterable[PolicyRule]) -> bool:
    """Whether rules give every verb on every resource of every group, be it by several of them together."""
    verbs: frozenset[str] = frozenset()
    for rule in rules:
        verbs |= rule.verbs_on_everything
    return verbs >= _EVERY_VERB


def rules_of(role: Resource) -> tuple[PolicyRule, ...]:
    """The role's own rules by position. Kept with it: every check on roles asks for them."""
    return role.derive(_rules)


def _rules(role: Resource) -> tuple[PolicyRule, ...]:
    return tuple(PolicyRule.of(raw) for raw in mappings(role.raw.get("rules")))


def listed(values: Sequence[str] | frozenset[str]) -> str:
    """A few of the values, the rest as an ellipsis."""
    ordered = sorted(values) if isinstance(values, frozenset) else list(dict.fromkeys(values))
    return ", ".join(value or '""' for value in ordered[:_MOST_LISTED]) + (", …" if len(ordered) > _MOST_LISTED else "")


def named_with(text: str, rule: PolicyRule) -> str:
    """What a rule gives, in words, with the names it is limited to."""
    return f"{text} named {listed(rule.names)}" if rule.names else text
