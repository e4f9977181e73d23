"""What ServiceAccounts hold that amounts to the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.rbac.amounts import Amount, Place, acts_as_somebody, escalation_of, minting_of
from iocaudit.core.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.core.rbac.escalation import READ
from iocaudit.core.rbac.graph import Held, graph_of
from iocaudit.core.rbac.power import Power
from iocaudit.core.rbac.powers import (
    ESCALATE,
    IMPERSONATE,
    TOKENS,
    WORKLOADS_CREATED,
    critical_powers,
    powers_of,
)
from iocaudit.core.rbac.rules import Rule, is_everything, named_with
from iocaudit.core.rbac.subjects import Subject
from iocaudit.core.resource import Resource
from iocaudit.core.world import World

_MOST_ACCOUNTS = 10_000
_LONGEST_ACCOUNT = 400
"""No account has a longer one, but whoever reaches the webhook past the API server may write one of megabytes."""

Amounts = tuple[Held, list[str]]


def critical_grants(held: Held, world: World, near: Resource | None = None) -> list[str]:
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


def _amounting(held: Held, space: str | None, world: World, near: Resource) -> Iterator[str]:
    """What of the rules of a binding gives the cluster in a namespace, be it by way of its ServiceAccounts."""
    rules = held.bound.rules
    own = frozenset({(held.binding.role_kind, held.binding.role_name)})
    place = Place(space, world, near, own, any(map(acts_as_somebody, rules)))
    for rule in rules:
        found = critical_powers(rule, space)
        for power, texts in powers_of(rule, clusterwide=space is None).items():
            if power in found if power not in _BY_PLACE else _gives_the_cluster(power, rule, place):
                yield from (named_with(text, rule) for text in texts)


_BY_PLACE = frozenset({ESCALATE, IMPERSONATE, TOKENS, WORKLOADS_CREATED})


def _gives_the_cluster(power: Power, rule: Rule, place: Place) -> bool:
    if power is WORKLOADS_CREATED:
        return place.holds_the_cluster
    if power is TOKENS:
        return minting_of(rule, place) is Amount.CLUSTER
    return escalation_of(rule, place) is Amount.CLUSTER


def powers_of_account(account: Subject, world: World, near: Resource) -> tuple[Amounts, ...]:
    """What a ServiceAccount holds that amounts to the cluster, or may: each with what it amounts to.

    What leads to another ServiceAccount of some namespace counts where nothing nearer does.
    """
    # Every pod asks, and most run as one of a few accounts. The names come from requests, so what is kept is bounded.
    known: dict[str, tuple[Amounts, ...]] = world.memo("workload-powers", READ, dict, near=near)
    found = known.get(account.text)
    if found is None:
        held = [(one, critical_grants(one, world, near)) for one in graph_of(world).held(account, world, near=near)]
        if not any(amounts for _, amounts in held):
            held = [(one, _in_its_namespace(one, world, near)) for one, _ in held]
        found = tuple((one, amounts) for one, amounts in held if amounts or one.bound.problem is not None)
        if len(known) >= _MOST_ACCOUNTS:
            known.clear()
        if len(account.text) <= _LONGEST_ACCOUNT:
            known[account.text] = found
    return found


def _in_its_namespace(held: Held, world: World, near: Resource) -> list[str]:
    space = held.binding.namespace
    return list(_amounting(held, space, world, near)) if space is not None else []
