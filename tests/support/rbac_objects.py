"""Roles, bindings and pods in few words, and one check run on one of them in a world of the others."""

from typing import Any

import yaml

from iocaudit.core.kinds import Kind
from iocaudit.core.report import Report
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies

CATALOGUE = builtin_catalogue()
_RBAC = "rbac.authorization.k8s.io"
Json = dict[str, Any]


def rule(verbs: str, resources: str, groups: str = "", names: str = "") -> Json:
    """A rule of words separated by commas; an empty group is the core group."""
    raw: Json = {"apiGroups": groups.split(","), "resources": resources.split(","), "verbs": verbs.split(",")}
    return raw | ({"resourceNames": names.split(",")} if names else {})


def role(name: str, *rules: Json, namespace: str | None = None, labels: Json | None = None) -> Resource:
    """A ClusterRole, or with a namespace a Role."""
    metadata: Json = {"name": name, "labels": labels or {}}
    if namespace is not None:
        metadata["namespace"] = namespace
    kind = "ClusterRole" if namespace is None else "Role"
    raw = {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, "rules": list(rules)}
    return Resource(raw, CLUSTER)


def aggregate(name: str, *labels: Json, own: Json | None = None) -> Resource:
    """A ClusterRole that aggregates those of any of these labels; ``own`` are its own labels."""
    found = role(name, labels=own)
    found.raw["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": one} for one in labels]}
    return found


def subject(words: str) -> Json:
    """``User:alice``, ``Group:dev`` or ``ServiceAccount:shop/web``."""
    kind, _, name = words.partition(":")
    if kind == "ServiceAccount":
        namespace, _, name = name.partition("/")
        return {"kind": kind, "name": name, "namespace": namespace}
    return {"kind": kind, "name": name, "apiGroup": _RBAC}


def binding(
    name: str, to: str, *subjects: str, namespace: str | None = None, role_kind: str = "ClusterRole"
) -> Resource:
    """A ClusterRoleBinding, or with a namespace a RoleBinding."""
    metadata: Json = {"name": name} | ({"namespace": namespace} if namespace else {})
    raw = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": role_kind, "name": to},
        "subjects": [subject(words) for words in subjects],
    }
    return Resource(raw, CLUSTER)


def objects(text: str) -> list[Resource]:
    """The objects of a YAML text."""
    return [Resource(raw, CLUSTER) for raw in yaml.safe_load_all(text)]


def run(
    check: str,
    on: Resource,
    *others: Resource,
    incomplete: tuple[Kind, ...] = (),
    profile: str = "default",
    parameters: Json | None = None,
) -> Report:
    """One check on one object; the world holds it and the others."""
    world = World()
    for resource in (on, *others):
        world.put(resource)
    for kind in incomplete:
        world.mark_incomplete(kind, "listing is forbidden")
    catalogue = CATALOGUE.select([check])
    rules = [{"ids": [check], "mode": "audit", "parameters": parameters}]
    raws = [{"metadata": {"name": "test"}, "spec": {"checks": rules}}] if parameters else []
    policies = read_policies(raws, catalogue, profile=profile)
    report = Auditor(catalogue, policies, world).audit(on)
    assert not report.faults
    return report


def severities(report: Report) -> list[str]:
    """The severities of the hits, worst first."""
    return [found.severity.label for found in sorted(report.found, key=lambda found: -found.severity)]
