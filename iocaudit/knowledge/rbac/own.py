"""The RBAC objects of our own install, as this very version makes them.

Known by kind, name, our namespace and content together, as those of the cluster are (``defaults``): anyone who writes
an object chooses its name and labels. ``own.json`` follows from the catalogue (``make gen``) and is written for the
namespace of ``own_names``; an install in another one is the same but for that.
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from iocaudit.core import own_names
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import Json, lookup, mapping, text
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.rules import PolicyRule, rules_of
from iocaudit.knowledge.rbac.subjects import subjects_in

_OURS = Origin("own")
_ROLES, _BINDINGS = frozenset({"ClusterRole", "Role"}), frozenset({"ClusterRoleBinding", "RoleBinding"})


class Content(NamedTuple):
    """What an RBAC object gives, whatever its labels and the order of its lists."""

    rules: frozenset[PolicyRule] = frozenset()
    aggregates: bool = False
    role: tuple[str, str] = ("", "")
    subjects: frozenset[str] = frozenset()


def content_of(resource: Resource) -> Content:
    """What an RBAC object gives; to be compared."""
    if resource.kind_name in _ROLES:
        return Content(frozenset(rules_of(resource)), bool(mapping(resource.raw.get("aggregationRule"))))
    role = (text(lookup(resource.raw, "roleRef", "kind")), text(lookup(resource.raw, "roleRef", "name")))
    named = (subject for _, subject in subjects_in(resource.raw.get("subjects")))
    home = resource.namespace or ""
    return Content(role=role, subjects=frozenset(_at_home(subject.text, home) for subject in named))


def _at_home(subject: str, namespace: str) -> str:
    """A subject's text; a ServiceAccount without a namespace is of the binding's own."""
    kind, _, name = subject.partition("::")
    return f"{kind}:{namespace}:{name}" if name and kind == "ServiceAccount" else subject


@cache
def _install(namespace: str) -> dict[tuple[str, str | None, str], Content]:
    """Our objects as installed in a namespace."""
    raws = json.loads(Path(__file__).with_name("own.json").read_text("utf-8"))
    resources = [Resource(_moved(raw, namespace), _OURS) for raw in raws]
    return {(one.kind_name, one.namespace, one.name): content_of(one) for one in resources}


def _moved(raw: Json, namespace: str) -> Json:
    moved = {**raw, "metadata": dict(raw["metadata"])}
    if "namespace" in moved["metadata"] and moved["metadata"]["namespace"] == own_names.NAMESPACE:
        moved["metadata"]["namespace"] = namespace
    if "subjects" in raw:
        moved["subjects"] = [{**subject, "namespace": namespace} for subject in raw["subjects"]]
    return moved


def bears_own_name(resource: Resource, world: World) -> bool:
    """Whether it is an RBAC object of a name that our install uses, whatever it holds."""
    # Asked of every role and binding: most are told by the first letters.
    if not resource.name.startswith(own_names.NAMESPACE) or resource.group != "rbac.authorization.k8s.io":
        return False
    return (resource.kind_name, world.namespace_of(resource), resource.name) in _install(world.own_namespace)


def is_own(resource: Resource, world: World) -> bool:
    """Whether it is an object of our install: under its name, and giving exactly what it gives in this version."""
    if not bears_own_name(resource, world):
        return False
    ours = _install(world.own_namespace)[(resource.kind_name, world.namespace_of(resource), resource.name)]
    return resource.derive(content_of) == ours


def is_own_grant(binding: Resource, role: Resource | None, world: World) -> bool:
    """Whether a binding of our install gives what it gives in this version, its role included."""
    return role is not None and is_own(binding, world) and is_own(role, world)
