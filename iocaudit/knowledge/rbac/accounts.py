"""What ServiceAccounts hold that amounts to the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.amounts import GrantAmount, RuleScope, escalation_of, minting_of
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.knowledge.rbac.escalation import READ
from iocaudit.knowledge.rbac.grants import acts_as_somebody
from iocaudit.knowledge.rbac.graph import HeldBinding, graph_of
from iocaudit.knowledge.rbac.power import Power
from iocaudit.knowledge.rbac.powers import ESCALATE, IMPERSONATE, TOKENS, WORKLOADS_CREATED, critical_powers, powers_of
from iocaudit.knowledge.rbac.rules import PolicyRule, is_everything, named_with
from iocaudit.knowledge.rbac.subjects import Subject

Amounts = tuple[HeldBinding, list[str]]


def critical_grants(held: HeldBinding, world: World, near: Resource | None = None) -> list[str]:
    """What of a binding's grants amounts to the cluster, in words: bound in the whole cluster or in kube-system."""
    if held.binding.is_clusterwide:
        space = None
    elif held.binding.holds_in(ADMIN_NAMESPACE, world):
        space = ADMIN_NAMESPACE
    else:
        return []
    if is_everything(held.bound.rules):
        return ["do everything"]
    return list(_amounting(held, space, world, near or held.binding.resource))


def _amounting(held: HeldBinding, space: str | None, world: World, near: Resource) -> Iterator[str]:
    """What of the rules of a binding gives the cluster in a namespace, be it by way of its ServiceAccounts."""
    rules = held.bound.rules
    own = frozenset({(held.binding.role_kind, held.binding.role_name)})
    place = RuleScope(space, world, near, own, any(map(acts_as_somebody, rules)))
    for rule in rules:
        found = critical_powers(rule, space)
        for power, texts in powers_of(rule, clusterwide=space is None).items():
            if power in found if power not in _BY_PLACE else _gives_the_cluster(power, rule, place):
                yield from (named_with(text, rule) for text in texts)


_BY_PLACE = frozenset({ESCALATE, IMPERSONATE, TOKENS, WORKLOADS_CREATED})


def _gives_the_cluster(power: Power, rule: PolicyRule, place: RuleScope) -> bool:
    if power is WORKLOADS_CREATED:
        return place.holds_the_cluster
    if power is TOKENS:
        return minting_of(rule, place) is GrantAmount.CLUSTER
    return escalation_of(rule, place) is GrantAmount.CLUSTER


def powers_of_account(account: Subject, world: World, near: Resource) -> tuple[Amounts, ...]:
    """What a ServiceAccount holds that amounts to the cluster, or may: each with what it amounts to.

    What leads to another ServiceAccount of some namespace counts where nothing nearer does.
    """

    def build() -> tuple[Amounts, ...]:
        held = [(one, critical_grants(one, world, near)) for one in graph_of(world).held(account, world, near=near)]
        if not any(amounts for _, amounts in held):
            held = [(one, _in_its_namespace(one, world, near)) for one, _ in held]
        return tuple((one, amounts) for one, amounts in held if amounts or one.bound.problem is not None)

    # Every pod asks, and most run as one of a few accounts.
    return world.memo_of(account.text, "workload-powers", READ, build, near=near)


def _in_its_namespace(held: HeldBinding, world: World, near: Resource) -> list[str]:
    space = held.binding.namespace
    return list(_amounting(held, space, world, near)) if space is not None else []
