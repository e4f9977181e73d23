"""What ServiceAccounts hold that amounts to the cluster, and where such a one can be run as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.kinds import CLUSTER_ROLE, NAMESPACE, ROLE
from iocaudit.core.rbac.bindings import ADMIN_NAMESPACE, BINDINGS
from iocaudit.core.rbac.graph import Held, graph_of
from iocaudit.core.rbac.powers import critical_powers
from iocaudit.core.rbac.rules import is_everything, named_with
from iocaudit.core.rbac.subjects import Subject
from iocaudit.core.resource import Resource
from iocaudit.core.world import World

_READ = (*BINDINGS, CLUSTER_ROLE, ROLE, NAMESPACE)
_MOST_ACCOUNTS = 10_000
_LONGEST_ACCOUNT = 400
"""No account has a longer one, but whoever reaches the webhook past the API server may write one of megabytes."""

Power = tuple[Held, list[str]]


def critical_grants(held: Held, world: World) -> list[str]:
    """What of a binding's grants amounts to the cluster, in words."""
    if held.binding.is_clusterwide:
        space = None
    elif held.binding.holds_in(ADMIN_NAMESPACE, world):
        space = ADMIN_NAMESPACE
    else:
        return []
    if is_everything(held.bound.rules):
        return ["do everything"]
    return [
        named_with(text, rule)
        for rule in held.bound.rules
        for found in critical_powers(rule, space).values()
        for text in found
    ]


def powers_of_account(account: Subject, world: World, near: Resource) -> tuple[Power, ...]:
    """What a ServiceAccount holds that amounts to the cluster, or may: each with what it amounts to."""
    # Every pod asks, and most run as one of a few accounts. The names come from requests, so what is kept is bounded.
    known: dict[str, tuple[Power, ...]] = world.memo("workload-powers", _READ, dict, near=near)
    found = known.get(account.text)
    if found is None:
        held = [(one, critical_grants(one, world)) for one in graph_of(world).held(account, world, near=near)]
        found = tuple((one, amounts) for one, amounts in held if amounts or one.bound.problem is not None)
        if len(known) >= _MOST_ACCOUNTS:
            known.clear()
        if len(account.text) <= _LONGEST_ACCOUNT:
            known[account.text] = found
    return found


class Privileged(NamedTuple):
    """A ServiceAccount that holds the cluster, by a binding; None of it where none is known.

    ``problem`` says why there may be one all the same.
    """

    account: Subject | None
    power: Power | None
    problem: str | None


def privileged_account(namespace: str | None, world: World, near: Resource) -> Privileged:
    """The first privileged ServiceAccount of a namespace (None: of the whole cluster), in a fixed order.

    Those that Kubernetes' own controllers run as count: they are in kube-system of every cluster.
    """
    known: dict[str | None, Privileged] = world.memo("privileged-accounts", _READ, dict, near=near)
    found = known.get(namespace)
    if found is None:
        if len(known) >= _MOST_ACCOUNTS:
            known.clear()
        found = known[namespace] = _search(namespace, world, near)
    return found


def _search(namespace: str | None, world: World, near: Resource) -> Privileged:
    problem: str | None = None
    for account in _accounts(namespace, world):
        for power in powers_of_account(account, world, near):
            if power[1]:
                return Privileged(account, power, None)
            problem = problem or power[0].bound.problem
    reason = next(filter(None, map(world.incomplete, _READ)), None)
    return Privileged(None, None, f"not all bindings and roles are known here ({reason})" if reason else problem)


def _accounts(namespace: str | None, world: World) -> Iterator[Subject]:
    """The ServiceAccounts that bindings name there, and ``default`` for those of groups."""
    graph = graph_of(world)
    if namespace is None:
        spaces = sorted({*graph.accounts, *graph.group_namespaces}, key=lambda name: (name != ADMIN_NAMESPACE, name))
    else:
        spaces = [namespace]
    for space in spaces:
        named = graph.accounts.get(space, {})
        yield from (named[name] for name in sorted(named))
        if "default" not in named:
            yield Subject("ServiceAccount", "default", space)
