"""What RBAC rules amount to, and which rules a binding resolves to.

Source: the RBAC authorizer of Kubernetes (wildcards, aggregation, default roles).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iocaudit.core.kinds import CLUSTER_ROLE, ROLE
from iocaudit.core.label_selector import selects
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, strings, text
from iocaudit.core.world import World

RBAC_GROUP = "rbac.authorization.k8s.io"
_EVERY_VERB = frozenset({"get", "list", "watch", "create", "update", "patch", "delete"})
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection", "*"})


@dataclass(frozen=True, slots=True)
class Rule:
    """A PolicyRule. Empty ``names`` means every object."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    urls: frozenset[str]

    @staticmethod
    def of(raw: Mapping[str, Any]) -> "Rule":
        return Rule(
            frozenset(strings(raw.get("verbs"))),
            frozenset(strings(raw.get("apiGroups"))),
            frozenset(strings(raw.get("resources"))),
            frozenset(strings(raw.get("resourceNames"))),
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

    def allows(self, verb: str, group: str, resource: str) -> bool:
        return self.allows_verb(verb) and self.covers(group, resource)

    @property
    def is_everything(self) -> bool:
        """Every verb on every resource of every group: the power of cluster-admin."""
        return (
            "*" in self.groups
            and "*" in self.resources
            and not self.names
            and ("*" in self.verbs or self.verbs >= _EVERY_VERB)
        )


def rules_of(role: Resource) -> list[tuple[int, Rule]]:
    """The role's own rules with their positions."""
    return [(index, Rule.of(raw)) for index, raw in enumerate(mappings(role.raw.get("rules")))]


def effective_rules(role: Resource, world: World) -> list[Rule]:
    """The role's rules, and those of the ClusterRoles its aggregationRule selects."""
    rules = [rule for _, rule in rules_of(role)]
    for selector in mappings(lookup(role.raw, "aggregationRule", "clusterRoleSelectors")):
        for other in world.all(CLUSTER_ROLE, near=role):
            if other.name != role.name and selects(selector, other.labels):
                rules += [rule for _, rule in rules_of(other)]
    return rules


_EVERYTHING = [Rule(frozenset("*"), frozenset("*"), frozenset("*"), frozenset(), frozenset())]
_NAMESPACED_READS = [
    Rule(
        frozenset({"get", "list", "watch"}),
        frozenset({"", "apps", "batch", "networking.k8s.io"}),
        frozenset({"pods", "services", "configmaps", "deployments", "jobs"}),
        frozenset(),
        frozenset(),
    )
]
_NAMESPACED_WRITES = [
    Rule(
        frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}),
        frozenset({"", "apps", "batch", "networking.k8s.io"}),
        frozenset({"pods", "pods/exec", "pods/attach", "services", "configmaps", "secrets", "deployments"}),
        frozenset(),
        frozenset(),
    ),
    Rule(frozenset({"impersonate"}), frozenset({""}), frozenset({"serviceaccounts"}), frozenset(), frozenset()),
]
# The user-facing ClusterRoles every cluster has, as far as the checks ask; system: roles are not among them.
_DEFAULT_ROLES = {
    "cluster-admin": _EVERYTHING,
    "admin": _NAMESPACED_WRITES,
    "edit": _NAMESPACED_WRITES,
    "view": _NAMESPACED_READS,
}


@dataclass(frozen=True, slots=True)
class Bound:
    """What a binding's roleRef resolves to: ``rules``, or ``problem`` where they cannot be known."""

    role: str
    rules: tuple[Rule, ...]
    problem: str | None = None


def resolve(binding: Resource, world: World) -> Bound:
    """The rules a RoleBinding or ClusterRoleBinding gives its subjects."""
    reference = mapping(binding.raw.get("roleRef"))
    name, kind = text(reference.get("name")), text(reference.get("kind"))
    title = f"{kind} {name}"
    if kind == "Role":
        role = world.get(ROLE, world.namespace_of(binding), name, near=binding)
        incomplete = world.incomplete(ROLE)
    else:
        role = world.get(CLUSTER_ROLE, None, name, near=binding)
        incomplete = world.incomplete(CLUSTER_ROLE)
    if kind != "Role" and name == "cluster-admin":
        # The API server restores this role's rules at every start, whatever an object of that name says.
        return Bound(title, tuple(_EVERYTHING))
    if role is not None:
        return Bound(title, tuple(effective_rules(role, world)))
    if kind != "Role" and name in _DEFAULT_ROLES:
        return Bound(title, tuple(_DEFAULT_ROLES[name]))
    if kind != "Role" and name.startswith("system:"):
        return Bound(title, (), f"{title} is the cluster's own and not among what was read")
    why = f"not known here ({incomplete})" if incomplete else "nowhere among what was read"
    return Bound(title, (), f"{title} is {why}, so what it gives cannot be judged")


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of a binding. ``text`` is ``User:alice``, ``Group:dev`` or ``ServiceAccount:ns:name``."""

    kind: str
    name: str
    namespace: str

    @property
    def text(self) -> str:
        if self.kind == "ServiceAccount":
            return f"ServiceAccount:{self.namespace}:{self.name}"
        return f"{self.kind}:{self.name}"

    @property
    def title(self) -> str:
        if self.kind == "ServiceAccount":
            return f"ServiceAccount {self.namespace}/{self.name}" if self.namespace else f"ServiceAccount {self.name}"
        return f"{self.kind} {self.name}"


def subjects_of(binding: Resource) -> Iterator[tuple[int, Subject]]:
    """The subjects with their positions."""
    for index, raw in enumerate(mappings(binding.raw.get("subjects"))):
        kind, name = text(raw.get("kind")), text(raw.get("name"))
        if kind == "User" and name.startswith("system:serviceaccount:") and name.count(":") == 3:
            # The same identity spelled as a user.
            _, _, namespace, account = name.split(":")
            yield index, Subject("ServiceAccount", account, namespace)
        else:
            yield index, Subject(kind, name, text(raw.get("namespace")))


# The cluster's own bindings, by exact name, role and subjects. The label kubernetes.io/bootstrapping is no
# proof of anything: whoever writes the object sets it.
_BOOTSTRAP: dict[tuple[str, str, str], frozenset[str]] = {
    ("ClusterRoleBinding", "cluster-admin", "cluster-admin"): frozenset({"Group:system:masters"}),
    ("ClusterRoleBinding", "kubeadm:cluster-admins", "cluster-admin"): frozenset({"Group:kubeadm:cluster-admins"}),
    ("ClusterRoleBinding", "system:basic-user", "system:basic-user"): frozenset({"Group:system:authenticated"}),
    ("ClusterRoleBinding", "system:discovery", "system:discovery"): frozenset({"Group:system:authenticated"}),
    ("ClusterRoleBinding", "system:public-info-viewer", "system:public-info-viewer"): frozenset(
        {"Group:system:authenticated", "Group:system:unauthenticated"}
    ),
    (
        "ClusterRoleBinding",
        "system:service-account-issuer-discovery",
        "system:service-account-issuer-discovery",
    ): frozenset({"Group:system:serviceaccounts"}),
    (
        "RoleBinding",
        "kubeadm:bootstrap-signer-clusterinfo",
        "kubeadm:bootstrap-signer-clusterinfo",
    ): frozenset({"User:system:anonymous"}),
}


def is_bootstrap(binding: Resource) -> bool:
    """Whether a binding is one every cluster starts with, unchanged."""
    role = text(lookup(binding.raw, "roleRef", "name"))
    # The only one in a namespace is kubeadm's, in kube-public; all others give a ClusterRole to the cluster.
    if binding.kind_name == "RoleBinding":
        kind, at_home = "Role", binding.namespace == "kube-public"
    else:
        kind, at_home = "ClusterRole", True
    if not at_home or text(lookup(binding.raw, "roleRef", "kind")) != kind:
        return False
    expected = _BOOTSTRAP.get((binding.kind_name, binding.name, role))
    return expected is not None and {subject.text for _, subject in subjects_of(binding)} == expected
