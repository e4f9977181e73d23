"""Where a ServiceAccount that gets to cluster-admin can be run as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE, admin_first
from iocaudit.knowledge.rbac.escalation import READ, EscalationStep, way_by_accounts
from iocaudit.knowledge.rbac.graph import HeldBinding, graph_of
from iocaudit.knowledge.rbac.powers import critical_powers
from iocaudit.knowledge.rbac.rules import is_everything, listed, named_with
from iocaudit.knowledge.rbac.subjects import Subject


class PrivilegedAccount(NamedTuple):
    """A ServiceAccount that gets to cluster-admin, and ``why``, in words; None of it where none is known.

    ``problem`` says why there may be one all the same.
    """

    account: Subject | None
    why: str
    problem: str | None


def privileged_account(namespace: str | None, world: World, near: Resource) -> PrivilegedAccount:
    """The first ServiceAccount of a namespace (None: of the whole cluster), in a fixed order, that gets to
    cluster-admin.

    Those that Kubernetes' own controllers run as count: they are in kube-system of every cluster.
    """
    return world.memo_of(namespace, "privileged-accounts", READ, lambda: _search(namespace, world, near), near=near)


def _search(namespace: str | None, world: World, near: Resource) -> PrivilegedAccount:
    problem: str | None = None
    graph = graph_of(world)
    for account in _accounts(namespace, world):
        if way := way_by_accounts(account, world, near):
            return PrivilegedAccount(account, _why(account, way[0], world, near), None)
        for held in graph.held(account, world, near=near) if problem is None else ():
            problem = problem or held.bound.problem
    reason = next(filter(None, map(world.incomplete, READ)), None)
    return PrivilegedAccount(None, "", f"not all bindings and roles are known here ({reason})" if reason else problem)


def _why(account: Subject, step: EscalationStep, world: World, near: Resource) -> str:
    """What the first step of its way is, by what its role gives where that says it."""
    whom = f" {step.to.title}" if step.to is not None else ""
    if step.binding is None:
        return step.how + whom
    by = f"by {step.binding.resource.kind_name} {step.binding.resource.name}"
    for held in graph_of(world).held(account, world, near=near):
        if held.binding is step.binding:
            if held.binding.is_clusterwide and is_everything(held.bound.rules):
                return f"may do everything {by}"
            if texts := _critical_texts(held, world):
                return f"may {listed(texts)} {by}"
    return f"{step.how}{whom} {by}"


def _critical_texts(held: HeldBinding, world: World) -> list[str]:
    binding = held.binding
    if not binding.is_clusterwide and not binding.holds_in(ADMIN_NAMESPACE, world):
        return []
    space = None if binding.is_clusterwide else ADMIN_NAMESPACE
    found = ((rule, critical_powers(rule, space)) for rule in held.bound.rules)
    return [named_with(text, rule) for rule, powers in found for texts in powers.values() for text in texts]


def _accounts(namespace: str | None, world: World) -> Iterator[Subject]:
    """The ServiceAccounts that bindings name there, and ``default`` for those of groups."""
    graph = graph_of(world)
    for space in admin_first(graph.namespaces) if namespace is None else [namespace]:
        named = graph.accounts.get(space, {})
        yield from (named[name] for name in sorted(named))
        if "default" not in named:
            yield Subject("ServiceAccount", "default", space)
