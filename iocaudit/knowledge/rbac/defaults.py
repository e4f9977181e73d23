"""What a cluster is born with: its roles in full, and its bindings.

Known by kind, namespace, name and content together. Neither the name alone nor the label
``kubernetes.io/bootstrapping`` proves anything: anyone who writes the object sets both. ``defaults.json`` is read
from a fresh Kubernetes 1.36 control plane by ``python -m devcluster.default_roles``.
"""

import json
from functools import cache, lru_cache
from pathlib import Path

from iocaudit.core.kinds import CLUSTER_ROLE, ROLE_BINDING
from iocaudit.core.label_selector import selects
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import Json, lookup, mappings, text
from iocaudit.knowledge.rbac.rules import PolicyRule, is_everything, rules_of
from iocaudit.knowledge.rbac.subjects import subjects_in

_BUILT_IN = Origin("default")
_KUBEADM: list[Json] = [
    # What kubeadm adds to every cluster and checks would flag. Source: kubeadm's clusterinfo and kubeconfig phases.
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "kubeadm:cluster-admins"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "name": "kubeadm:cluster-admins"}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "kubeadm:bootstrap-signer-clusterinfo", "namespace": "kube-public"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "kubeadm:bootstrap-signer-clusterinfo",
        },
        "subjects": [{"kind": "User", "name": "system:anonymous"}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "kubeadm:bootstrap-signer-clusterinfo", "namespace": "kube-public"},
        "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"]}
        ],
    },
]
USER_FACING = frozenset({"admin", "edit", "view"})
"""The ClusterRoles that are made to be bound to people in a namespace."""

RoleKey = tuple[str, str, str]


def _key(resource: Resource) -> RoleKey:
    return (resource.kind_name, resource.namespace or "", resource.name)


@cache
def _known() -> dict[RoleKey, Resource]:
    raws = json.loads(Path(__file__).with_name("defaults.json").read_text("utf-8"))
    return {_key(resource): resource for raw in (*raws, *_KUBEADM) for resource in (Resource(raw, _BUILT_IN),)}


def default_role(kind: str, namespace: str | None, name: str) -> Resource | None:
    """The role of that kind and name every cluster has."""
    return _known().get((kind, namespace or "", name))


@cache
def default_cluster_roles() -> tuple[Resource, ...]:
    """Every ClusterRole a cluster is born with; of the aggregated ones ``rules`` is left out."""
    return tuple(resource for resource in _known().values() if resource.kind is CLUSTER_ROLE)


@cache
def default_bindings() -> tuple[Resource, ...]:
    """Every RoleBinding and ClusterRoleBinding a cluster is born with."""
    return tuple(resource for resource in _known().values() if resource.kind_name.endswith("RoleBinding"))


@lru_cache(maxsize=512)
def _rules_born_with(key: RoleKey) -> tuple[PolicyRule, ...]:
    """The rules of a default role, aggregation resolved among the defaults."""
    found: list[PolicyRule] = []
    seen: set[RoleKey] = set()
    waiting = [key]
    while waiting:
        one = waiting.pop()
        role = _known().get(one)
        if role is None or one in seen:
            continue
        seen.add(one)
        found += rules_of(role)
        for selector in mappings(lookup(role.raw, "aggregationRule", "clusterRoleSelectors")):
            waiting += [_key(other) for other in default_cluster_roles() if selects(selector, other.labels)]
    return tuple(found)


def _within(key: RoleKey, rule: PolicyRule) -> bool:
    own = _rules_born_with(key)
    return bool(own) and (rule in own or covered(rule, own))


_kept_within = lru_cache(maxsize=4096)(_within)


def covered(rule: PolicyRule, by: tuple[PolicyRule, ...]) -> bool:
    """Whether everything the rule allows is allowed by others, part by part."""
    if is_everything(by):
        return True
    for verb in rule.verbs:
        for url in rule.urls:
            if not any(url in other.urls and other.allows_verb(verb) for other in by):
                return False
        for group in rule.groups:
            for resource in rule.resources:
                holders = [o for o in by if o.allows_verb(verb) and o.covers(group, resource)]
                if not any(not o.names or (rule.names and rule.names <= o.names) for o in holders):
                    return False
    return bool(rule.verbs)


def is_default_rule(role: Resource, rule: PolicyRule) -> bool:
    """Whether the cluster's own role of this kind, namespace and name holds as much: a rule edited to hold more
    is not one of its own. One that holds less (an older release) is."""
    key = _key(role)
    return key in _known() and not rule.is_huge and _kept_within(key, rule)


def is_unaltered(role: Resource, rules: tuple[PolicyRule, ...]) -> bool:
    """Whether these are rules of the cluster's own role of that name, and nothing beyond them."""
    return all(is_default_rule(role, rule) for rule in rules)


def bootstrap_subjects(binding: Resource) -> frozenset[str]:
    """The subjects (their texts) that a binding of this name, namespace and role has in every cluster."""
    known = _known().get(_key(binding))
    if known is None or (binding.kind is ROLE_BINDING) != (known.kind is ROLE_BINDING):
        return frozenset()
    if any(_reference(binding, part) != _reference(known, part) for part in ("kind", "name")):
        return frozenset()
    return frozenset(subject.text for _, subject in subjects_in(known.raw.get("subjects")))


def _reference(binding: Resource, part: str) -> str:
    return text(lookup(binding.raw, "roleRef", part))
