"""What one identity holds, asked rule by rule, with the roles to which it may bind itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from iocaudit.core.kinds import ROLE
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import Binding, resolve
from iocaudit.knowledge.rbac.graph import HeldBinding
from iocaudit.knowledge.rbac.powers import SIGNER_NAMES, may_lead_on
from iocaudit.knowledge.rbac.rules import RBAC_GROUP, PolicyRule

CHANGES = ("create", "update", "patch")
EDITS = ("update", "patch")
_CERTIFICATES = "certificates.k8s.io"
_MOST_ROUNDS = 8
_REQUESTS = "certificatesigningrequests"


def acts_as_somebody(rule: PolicyRule, *, clusterwide: bool = True) -> bool:
    """Whether a rule lets someone impersonate a user or a ServiceAccount, without which there is no group, UID or
    extra field to impersonate."""
    whom = ("users", "serviceaccounts") if clusterwide else ("serviceaccounts",)
    return any(rule.allows("impersonate", "", resource) for resource in whom)


@dataclass(frozen=True, slots=True)
class Grants:
    """The bindings by which an identity holds something, and of their rules those that lead on."""

    held: tuple[HeldBinding, ...]
    rules: tuple[tuple[HeldBinding, PolicyRule], ...]

    @staticmethod
    def of(held: Iterable[HeldBinding]) -> Grants:
        every = tuple(held)
        rules = ((one, rule) for one in every for rule in one.bound.rules)
        return Grants(every, tuple(pair for pair in rules if _leads_on(pair[1], pair[0].binding.is_clusterwide)))

    def giving(
        self, verbs: Iterable[str], group: str, resource: str, *, wide: bool = False, name: str | None = None
    ) -> Iterator[tuple[HeldBinding, PolicyRule]]:
        """The rules that allow one of the verbs. ``wide``: in the whole cluster only; ``name``: with that object."""
        asked = tuple(verbs)
        for held, rule in self.rules:
            if (held.binding.is_clusterwide or not wide) and any(
                rule.allows(verb, group, resource, name) for verb in asked
            ):
                yield held, rule

    def may(self, verbs: Iterable[str], group: str, resource: str, *, name: str | None = None) -> bool:
        """Whether a rule allows one of the verbs in the whole cluster."""
        return any(self.giving(verbs, group, resource, wide=True, name=name))

    @property
    def acts_as_somebody(self) -> bool:
        """Whether it may impersonate anybody."""
        return any(acts_as_somebody(rule, clusterwide=held.binding.is_clusterwide) for held, rule in self.rules)

    def certifies(self) -> Iterator[tuple[HeldBinding, str, frozenset[str]]]:
        """The bindings by which it approves or signs a certificate of its own making, that verb, and for which
        signers."""
        if not self.may(("create",), _CERTIFICATES, _REQUESTS):
            return
        for verb, subresource in (("approve", "approval"), ("sign", "status")):
            if self.may(EDITS, _CERTIFICATES, f"{_REQUESTS}/{subresource}"):
                for held, rule in self.giving((verb,), _CERTIFICATES, "signers", wide=True):
                    yield held, verb, rule.names or SIGNER_NAMES


def _leads_on(rule: PolicyRule, clusterwide: bool) -> bool:
    """Whether a rule may be part of a way: most are not, and every step asks twenty times."""
    return _found_to(rule, clusterwide) if rule.is_huge else _kept(rule, clusterwide)


def _found_to(rule: PolicyRule, clusterwide: bool) -> bool:
    if may_lead_on(rule, clusterwide=clusterwide):
        return True
    return any(rule.covers(_CERTIFICATES, name) for name in (_REQUESTS, f"{_REQUESTS}/status"))


_kept = lru_cache(maxsize=8192)(_found_to)


def meet(one: Binding, other: Binding, world: World) -> Binding | None:
    """Of two bindings the one that holds nowhere but where both do; None where there is no such place."""
    if one.is_clusterwide:
        return other
    if other.is_clusterwide:
        return one
    if other.namespace is not None:
        return other if one.holds_in(other.namespace, world) else None
    if one.namespace is not None:
        return one if other.holds_in(one.namespace, world) else None
    return one if one.selector == other.selector else None


def with_bindable(grants: Grants, world: World) -> Grants:
    """What an identity holds, and what it would if it bound itself to the roles it may bind.

    Where it may bind every ClusterRole none is added: that is cluster-admin, and asked for as such. A role that may
    bind one that may bind one ends after a few rounds, so a made-up chain costs no more than it is worth.
    """
    seen: set[tuple[str, str, str | None, bool]] = set()
    for _ in range(_MOST_ROUNDS):
        new: list[HeldBinding] = []
        for made in _bindable(grants, world):
            binding = made.binding
            key = (binding.role_kind, binding.role_name, binding.namespace, binding.is_clusterwide)
            if key not in seen:
                seen.add(key)
                new.append(made)
        if not new:
            break
        grants = Grants.of((*grants.held, *new))
    return grants


def _bindable(grants: Grants, world: World) -> Iterator[HeldBinding]:
    for held, rule in grants.giving(("bind",), RBAC_GROUP, "clusterroles"):
        for name in sorted(rule.names):
            for resource in ("clusterrolebindings", "rolebindings"):
                wide = resource == "clusterrolebindings"
                if wide and not held.binding.is_clusterwide:
                    continue
                for other, _ in grants.giving(CHANGES, RBAC_GROUP, resource, wide=wide):
                    where = meet(held.binding, other.binding, world)
                    if where is not None:
                        yield _bound(held, other, "ClusterRole", name, where, wide=wide, world=world)
    for held, rule in grants.giving(("bind",), RBAC_GROUP, "roles"):
        for other, _ in grants.giving(CHANGES, RBAC_GROUP, "rolebindings"):
            where = meet(held.binding, other.binding, world)
            for role in _roles(where, world) if where is not None else ():
                if not rule.names or role.role_name in rule.names:
                    yield _bound(held, other, "Role", role.role_name, role, wide=False, world=world)


def _roles(where: Binding, world: World) -> list[Binding]:
    """The Roles a binding's place has, each as if it were bound there."""
    roles = world.of(ROLE, where.namespace) if where.namespace is not None else world.all(ROLE)
    spaces = [(role, world.namespace_of(role)) for role in roles]
    return [
        Binding(where.resource, "Role", role.name, space, ())
        for role, space in spaces
        if space is not None and where.holds_in(space, world)
    ]


def _bound(
    held: HeldBinding, other: HeldBinding, kind: str, name: str, where: Binding, *, wide: bool, world: World
) -> HeldBinding:
    """What an identity would hold by a binding that it makes."""
    # A RoleBinding that may be made in any namespace holds in each of them, and not outside of them.
    selector = {} if where.is_clusterwide and not wide else where.selector
    made = Binding(other.binding.resource, kind, name, where.namespace, (), selector)
    bound = resolve(made, world)
    return HeldBinding(made, bound._replace(role=f"{held.bound.role}, which lets it bind {bound.role}"), other.subject)
