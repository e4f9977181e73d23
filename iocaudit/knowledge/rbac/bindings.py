"""Bindings, whatever object states them, and the rules they resolve to.

A RoleBinding or ClusterRoleBinding states one; an RBACDefinition of rbac-manager states many.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NAMESPACE, RBAC_DEFINITION, ROLE, ROLE_BINDING
from iocaudit.core.label_selector import selects
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.place import GrantedRole
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.shape import items, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rbac.defaults import bootstrap_subjects, default_role, is_default_rule, is_unaltered
from iocaudit.knowledge.rbac.roles import effective_rules, selectors_of
from iocaudit.knowledge.rbac.rules import PolicyRule
from iocaudit.knowledge.rbac.subjects import Subject, subjects_in

BINDINGS = (CLUSTER_ROLE_BINDING, ROLE_BINDING, RBAC_DEFINITION)
"""The kinds that state bindings."""
ADMIN_NAMESPACE = "kube-system"


def admin_first(namespaces: Iterable[str]) -> list[str]:
    """Namespaces in the order in which someone is looked for in them: anyone who gets into kube-system has it all."""
    return sorted(namespaces, key=lambda name: (name != ADMIN_NAMESPACE, name))


_LONGEST_TITLE = 100
_ALL_RIGHTS = (
    PolicyRule(frozenset("*"), frozenset("*"), frozenset("*")),
    PolicyRule(frozenset("*"), frozenset(), frozenset(), urls=frozenset("*")),
)


class NamedSubject(NamedTuple):
    """A subject where a binding names it: ``path`` survives reordering, ``at`` is where it stands now."""

    subject: Subject
    path: str
    at: str


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """Subjects and a role. ``namespace`` is None where it holds in the whole cluster.

    ``selector`` is set in place of a namespace where it holds in every namespace with such labels.
    """

    resource: Resource
    role_kind: str
    role_name: str
    namespace: str | None
    named: tuple[NamedSubject, ...]
    selector: Mapping[str, Any] | None = None

    @property
    def is_clusterwide(self) -> bool:
        return self.namespace is None and self.selector is None

    @property
    def role(self) -> str:
        return f"{self.role_kind} {self.role_name}"

    @property
    def where(self) -> str:
        """`` in namespace shop``, or nothing where it holds in the whole cluster."""
        if self.selector is not None:
            return " in the namespaces it selects"
        return f" in namespace {self.namespace}" if self.namespace is not None else ""

    def holds_in(self, namespace: str, world: World) -> bool:
        """Whether it gives its rights in that namespace."""
        if self.selector is None:
            return self.namespace is None or self.namespace == namespace
        found = world.get(NAMESPACE, None, namespace)
        labels = {NAME_LABEL: namespace} | (found.labels if found is not None else {})
        return selects(self.selector, labels)


def _at_home(resource: Resource) -> tuple[Binding, ...]:
    return _parsed(resource, resource.namespace)


def _by_home(_: Resource) -> dict[str | None, tuple[Binding, ...]]:
    """What a RoleBinding without a namespace states, by the one it counts as being in; filled as it is asked for."""
    return {}


def _parsed(resource: Resource, home: str | None) -> tuple[Binding, ...]:
    if resource.kind is RBAC_DEFINITION:
        return tuple(_defined(resource))
    reference = mapping(resource.raw.get("roleRef"))
    kind = text(reference.get("kind")) or ("Role" if text(reference.get("namespace")) else "ClusterRole")
    named = tuple(_named(resource.raw.get("subjects"), ""))
    return (Binding(resource, kind, text(reference.get("name")), home, named),)


def bindings_in(resource: Resource, world: World) -> tuple[Binding, ...]:
    """The bindings an object states; none for another kind."""
    if resource.kind not in BINDINGS:
        return ()
    if resource.kind is not ROLE_BINDING or resource.namespace is not None:
        return resource.derive(_at_home)
    home, known = world.namespace_of(resource), resource.derive(_by_home)
    if home not in known:
        known[home] = _parsed(resource, home)
    return known[home]


def _named(raw: object, prefix: str) -> Iterator[NamedSubject]:
    for index, subject in subjects_in(raw):
        yield NamedSubject(subject, f"{prefix}subjects{paths.key(subject.name)}", f"{prefix}subjects[{index}]")


def _defined(resource: Resource) -> Iterator[Binding]:
    """The bindings of an RBACDefinition. Sources: rbac-manager, docs/rbacdefinitions.md and its parser: a selector
    goes before a namespace, an empty one does not count, and without either there is no binding."""
    for index, entry in enumerate(mappings(resource.raw.get("rbacBindings"))):
        name = text(entry.get("name"))
        prefix = f"rbacBindings{paths.key(name) if name else f'[{index}]'}."
        named = tuple(_named(entry.get("subjects"), prefix))
        for wide in mappings(entry.get("clusterRoleBindings")):
            yield Binding(resource, "ClusterRole", text(wide.get("clusterRole")), None, named)
        for narrow in mappings(entry.get("roleBindings")):
            cluster_role, role = text(narrow.get("clusterRole")), text(narrow.get("role"))
            kind, name = ("ClusterRole", cluster_role) if cluster_role else ("Role", role)
            namespace, selector = text(narrow.get("namespace")), mapping(narrow.get("namespaceSelector"))
            if isinstance(selector.get("matchLabels"), dict) or items(selector.get("matchExpressions")):
                yield Binding(resource, kind, name, None, named, selector)
            elif namespace:
                yield Binding(resource, kind, name, namespace, named)


class ResolvedRole(NamedTuple):
    """What a binding's role resolves to.

    ``rules`` are those that are known to hold, ``problem`` says why there may be more. ``default`` are the rules
    among them that Kubernetes' own role of that name has.
    """

    role: str
    rules: tuple[PolicyRule, ...]
    problem: str | None = None
    source: Resource | None = None

    def is_default(self, rule: PolicyRule) -> bool:
        """Whether Kubernetes' own role of that name holds that rule."""
        return self.source is not None and is_default_rule(self.source, rule)


def resolve(binding: Binding, world: World) -> ResolvedRole:
    """The rules a binding gives its subjects."""
    if binding.resource.origin.source == ADMISSION.source:
        return _resolve(binding, world)  # kept, it would hold the request's object long after the answer
    # Kept until any role changes: each of twenty checks asks of each binding, and each pod of those that name it.
    kinds = (CLUSTER_ROLE, ROLE) if binding.selector is None else (CLUSTER_ROLE, ROLE, NAMESPACE)
    return world.memo_of(binding, ("rbac-bound", kinds), kinds, lambda: _resolve(binding, world))


def _resolve(binding: Binding, world: World) -> ResolvedRole:
    title, name = binding.role, binding.role_name
    near = binding.resource
    if binding.role_kind == "Role" and binding.selector is not None:
        return _resolve_roles(binding, world)
    if binding.role_kind == "Role":
        namespace, kind = binding.namespace, ROLE
    else:
        namespace, kind = None, CLUSTER_ROLE
        if name == "cluster-admin":
            # The API server restores this role's rules at every start, whatever an object of that name says.
            return ResolvedRole(title, _ALL_RIGHTS, None, default_role("ClusterRole", None, name))
    incomplete = world.incomplete(kind)
    role = world.get(kind, namespace, name, near=near, whole=False)
    problem = None
    if role is None:
        role = default_role(binding.role_kind, namespace, name)
        if role is None:
            why = f"not known here ({incomplete})" if incomplete else "not among what was read"
            return ResolvedRole(title, (), f"{title} is {why}, so what it gives cannot be judged")
        if incomplete:
            problem = f"{title} is not known here ({incomplete}): it may hold more than Kubernetes gives it"
    elif role.lacks:
        problem = f"{title} is not known whole: {role.lacks}"
    elif incomplete and selectors_of(role):
        problem = f"{title} aggregates others, and not all are known here ({incomplete})"
    return ResolvedRole(title, effective_rules(role, world, near), problem, role)


def grant_of(binding: Binding, bound: ResolvedRole, subject: Subject) -> GrantedRole | None:
    """What ties a subject of a binding to the role, where both are in one scope.

    None for a role that is not known, and for one of the cluster's own: nobody mends that in the role.
    """
    role = bound.source
    if role is None or default_role(binding.role_kind, role.namespace, role.name) is not None:
        return None
    if not (binding.is_clusterwide if role.kind is CLUSTER_ROLE else binding.resource.kind is ROLE_BINDING):
        return None
    named = (role.group, role.kind_name, role.namespace, role.name)
    origin = (role.origin.file, role.origin.document, role.origin.item)
    return GrantedRole(named, origin, clip(subject.title, _LONGEST_TITLE))


def _resolve_roles(binding: Binding, world: World) -> ResolvedRole:
    """A Role's name bound in several namespaces: what the Roles of that name give there, taken together."""
    incomplete = world.incomplete(ROLE) or world.incomplete(NAMESPACE)
    rules: dict[PolicyRule, None] = {}
    roles = [role for role in world.all(ROLE, near=binding.resource) if role.name == binding.role_name]
    for role in roles:
        if binding.holds_in(world.namespace_of(role) or "", world):
            rules.update(dict.fromkeys(effective_rules(role, world, binding.resource)))
    problem = None
    if incomplete or not rules:
        why = f"not known here in all of them ({incomplete})" if incomplete else "not among what was read"
        problem = f"{binding.role}, bound{binding.where}, is {why}, so what it gives cannot be judged"
    return ResolvedRole(binding.role, tuple(rules), problem)


def without_clusters_own(binding: Binding, bound: ResolvedRole) -> Binding:
    """A binding without the subjects it has in every cluster, as long as its role holds no more than it does there."""
    own = bootstrap_subjects(binding.resource)
    if not own:
        return binding
    if (
        binding.role_name != "cluster-admin"
        and bound.source is not None
        and not is_unaltered(bound.source, bound.rules)
    ):
        return binding
    return replace(binding, named=tuple(named for named in binding.named if named.subject.text not in own))
