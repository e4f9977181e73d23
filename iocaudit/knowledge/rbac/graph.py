"""Every binding of a world by whom it names, and what an identity holds through them.

The index follows from bindings alone. Roles are resolved as they are asked for, so a changed role touches
only what is bound to it, and what aggregates it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.kinds import ROLE, Kind
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import BINDINGS, Binding, ResolvedRole, bindings_in, resolve
from iocaudit.knowledge.rbac.defaults import default_bindings
from iocaudit.knowledge.rbac.rules import PolicyRule
from iocaudit.knowledge.rbac.subjects import ACCOUNTS_OF, Subject


class HeldBinding(NamedTuple):
    """A binding that gives an identity something, through ``subject`` (itself or a group it is in)."""

    binding: Binding
    bound: ResolvedRole
    subject: Subject


class _StatedBinding(NamedTuple):
    """What the variants of one binding give a subject, by the document (its ``id``) that gives it."""

    first: Resource
    by_document: dict[int, list[tuple[Binding, Subject]]]

    def add(self, binding: Binding, subject: Subject) -> None:
        self.by_document.setdefault(id(binding.resource), []).append((binding, subject))

    def nearest(self, world: World, near: Resource) -> list[tuple[Binding, Subject]]:
        """Those of the variant that counts for another object; a binding that every cluster has counts for all."""
        first = self.first
        if first.kind is None or first.origin.source == "default":
            return self.by_document[id(first)]
        counts = world.get(first.kind, world.namespace_of(first), first.name, near=near, whole=False)
        return self.by_document.get(id(counts), [])


def identity(subject: Subject, binding: Binding, default_namespace: str) -> Subject:
    """Whom a binding names: a ServiceAccount without a namespace is of the binding's own."""
    if subject.kind != "ServiceAccount" or subject.namespace:
        return subject
    return Subject(subject.kind, subject.name, binding.namespace or default_namespace)


class RbacGraph:
    """The bindings of a world. Make one by ``graph_of``."""

    def __init__(self, bindings: tuple[Binding, ...], default_namespace: str) -> None:
        self.bindings = bindings
        self.by_subject: dict[str, list[tuple[Binding, Subject]]] = {}
        self.accounts: dict[str, dict[str, Subject]] = {}
        """Namespace to name to each ServiceAccount that a binding names."""
        self.group_namespaces: set[str] = set()
        """The namespaces whose ServiceAccounts some binding names as a group."""
        self._homes: dict[str, list[str]] = {}
        """Name to namespaces of each ServiceAccount that a binding names."""
        self._grouped: dict[str, list[_StatedBinding]] = {}
        self._by_role: dict[tuple[str, str], list[Binding]] = {}
        self._by_namespace: dict[str, list[Binding]] = {}
        for binding in bindings:
            self._by_role.setdefault((binding.role_kind, binding.role_name), []).append(binding)
            if binding.namespace is not None:
                self._by_namespace.setdefault(binding.namespace, []).append(binding)
            for named in binding.named:
                subject = identity(named.subject, binding, default_namespace)
                if subject.kind == "ServiceAccount":
                    self.accounts.setdefault(subject.namespace, {})[subject.name] = subject
                elif subject.text.startswith(ACCOUNTS_OF):
                    self.group_namespaces.add(subject.text.removeprefix(ACCOUNTS_OF))
                self.by_subject.setdefault(subject.text, []).append((binding, subject))
        for namespace, accounts in self.accounts.items():
            for account in accounts:
                self._homes.setdefault(account, []).append(namespace)

    @property
    def namespaces(self) -> set[str]:
        """Those of whose ServiceAccounts a binding names any, by name or as a group."""
        return {*self.accounts, *self.group_namespaces}

    def homes_of(self, account: str) -> list[str]:
        """The namespaces where a ServiceAccount of that name may hold anything, of its own or by its group."""
        return sorted({*self._homes.get(account, ()), *self.group_namespaces})

    def naming(
        self, subject: Subject, world: World, *, groups: bool = True, near: Resource | None = None
    ) -> Iterator[tuple[Binding, Subject]]:
        """The bindings that name it, and those that name a group it is in.

        Of the variants of a binding it is the one nearest to ``near``, or each.
        """
        for name in (subject.text, *subject.groups) if groups else (subject.text,):
            if near is None or not world.has_variants(BINDINGS):
                yield from self.by_subject.get(name, ())
            else:
                for stated in self._stated(name, world):
                    yield from stated.nearest(world, near)

    def _stated(self, name: str, world: World) -> list[_StatedBinding]:
        """The bindings that name a subject, those of one identity together."""
        found = self._grouped.get(name)
        if found is None:
            grouped: dict[tuple[str, str | None, str], _StatedBinding] = {}
            for binding, subject in self.by_subject.get(name, ()):
                resource = binding.resource
                key = (resource.kind_name, world.namespace_of(resource), resource.name)
                grouped.setdefault(key, _StatedBinding(resource, {})).add(binding, subject)
            found = self._grouped[name] = list(grouped.values())
        return found

    def bound_to(self, role: Resource, world: World) -> list[Binding]:
        """The bindings whose role this one is."""
        found = self._by_role.get((role.kind_name, role.name), [])
        if role.kind is not ROLE:
            return found
        namespace = world.namespace_of(role) or ""
        return [binding for binding in found if binding.holds_in(namespace, world)]

    def inside(self, namespace: str) -> list[Binding]:
        """The bindings that hold in that very namespace."""
        return self._by_namespace.get(namespace, [])

    def held(
        self, subject: Subject, world: World, *, groups: bool = True, near: Resource | None = None
    ) -> Iterator[HeldBinding]:
        """What an identity is given, binding by binding; of variants the one nearest to ``near``, or each."""
        for binding, through in self.naming(subject, world, groups=groups, near=near):
            yield HeldBinding(binding, resolve(binding, world), through)


def graph_of(world: World) -> RbacGraph:
    """The graph of a world, every variant of its bindings in it, kept until a binding changes.

    The bindings every cluster has take part where the world holds none of their name: files leave them out.
    """

    def build() -> RbacGraph:
        found: list[Binding] = []
        present: set[tuple[str, str | None, str]] = set()
        for kind in BINDINGS:
            for resource in world.every(kind):
                present.add((kind.name, resource.namespace, resource.name))
                found += bindings_in(resource, world)
        for resource in default_bindings():
            if (resource.kind_name, resource.namespace, resource.name) not in present:
                found += bindings_in(resource, world)
        return RbacGraph(tuple(found), world.default_namespace)

    return world.memo("rbac-graph", BINDINGS, build)


def not_read(world: World, kinds: Iterable[Kind]) -> list[str]:
    """What of these kinds may be missing here, in words: an answer that needs them is not known without."""
    reasons = ((kind, world.incomplete(kind)) for kind in kinds)
    return [f"not all {kind.plural} are known here ({reason})" for kind, reason in reasons if reason is not None]


class Verb(NamedTuple):
    """A request: a verb on a resource of a group (perhaps one object), or on a URL outside the resources."""

    verb: str
    group: str = ""
    resource: str = ""
    url: str = ""
    name: str | None = None

    def given_by(self, rule: PolicyRule, *, clusterwide: bool) -> bool:
        """Whether a rule allows it. URLs stand outside namespaces."""
        if self.url:
            return clusterwide and rule.allows_url(self.verb, self.url)
        return rule.allows(self.verb, self.group, self.resource, self.name)


class Grant(NamedTuple):
    """Someone who can do something, by a binding; ``names`` are the only objects with which he can, if any."""

    subject: Subject
    binding: Binding
    role: str
    names: frozenset[str]


def who_can(
    world: World, asked: Verb, namespace: str | None = None, *, scoped: bool = True
) -> tuple[list[Grant], list[str]]:
    """Every subject that is given a request, and what could not be judged.

    ``namespace`` None: in any. ``scoped`` False: for what stands outside namespaces, which no RoleBinding gives.
    Only the bindings that were read count, not those that every cluster has beside them.
    """
    found: list[Grant] = []
    problems = dict.fromkeys(not_read(world, BINDINGS))
    for binding in graph_of(world).bindings:
        if binding.resource.origin.source == "default" or not binding.named:
            continue
        narrow = not binding.is_clusterwide
        if narrow and (not scoped or (namespace is not None and not binding.holds_in(namespace, world))):
            continue
        bound = resolve(binding, world)
        if bound.problem is not None:
            problems[bound.problem] = None
        rules = [rule for rule in bound.rules if asked.given_by(rule, clusterwide=not narrow)]
        if rules:
            names = {name for rule in rules for name in rule.names}
            only = frozenset(names) if all(rule.names for rule in rules) else frozenset[str]()
            whom = (identity(named.subject, binding, world.default_namespace) for named in binding.named)
            found += [Grant(subject, binding, bound.role, only) for subject in whom]
    return found, list(problems)
