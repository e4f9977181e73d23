"""The workloads of a world as policies select them: few different label sets, by namespace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from iocaudit.core.kinds import PODS
from iocaudit.core.network.coverage import account_labels, namespace_labels, space_of
from iocaudit.core.network.model import Policy
from iocaudit.core.network.selectors import Labels, Selector, read_labels
from iocaudit.core.resource import Resource
from iocaudit.core.world import World


class Endpoints:
    """The different label sets of a namespace's pods and pod templates, by label."""

    def __init__(self, found: Iterator[tuple[frozenset[tuple[str, str]], str]]) -> None:
        self._by_label: dict[tuple[str, str], list[tuple[Labels, str]]] = {}
        self._by_key: dict[str, list[tuple[Labels, str]]] = {}
        self.every: list[tuple[Labels, str]] = [(dict(labels), account) for labels, account in dict.fromkeys(found)]
        for labels, account in self.every:
            for key, value in labels.items():
                self._by_label.setdefault((key, value), []).append((labels, account))
                self._by_key.setdefault(key, []).append((labels, account))

    def candidates(self, selector: Selector) -> list[tuple[Labels, str]]:
        """Those whose own labels can match a selector."""
        anchors = selector.anchors
        if anchors is None:
            return self.every
        found: list[tuple[Labels, str]] = []
        for key, values in anchors:
            if values is None:
                found += self._by_key.get(key, ())
            else:
                found += [one for value in values for one in self._by_label.get((key, value), ())]
        return found


def endpoints_of(namespace: str, world: World, near: Resource | None = None) -> Endpoints:
    """The workloads of a namespace, whatever their state."""

    def build() -> Endpoints:
        return Endpoints(_found(resource for kind in PODS for resource in world.of(kind, namespace, near=near)))

    return world.memo(("endpoints", namespace), PODS, build, near=near, namespace=namespace)


def _homeless(world: World) -> Endpoints:
    """The workloads of files that name no namespace: whoever applies them says which."""

    def build() -> Endpoints:
        return Endpoints(
            _found(
                resource
                for kind in PODS
                if kind.namespaced
                for resource in world.of(kind, world.default_namespace)
                if resource.namespace is None
            )
        )

    return world.memo(("endpoints", None), PODS, build)


def _found(resources: Iterable[Resource]) -> Iterator[tuple[frozenset[tuple[str, str]], str]]:
    for resource in resources:
        for pod in resource.pods:
            if not pod.host_network:
                yield frozenset(read_labels(pod.labels).items()), pod.service_account


def selects_something(policy: Policy, world: World, near: Resource) -> bool:
    """Whether a policy selects some workload that is known.

    A workload or a policy of a file that names no namespace may end up in any, and so with any.
    """
    if policy.spaces is None:
        own = near.namespace
        namespaces = list(_inhabited(world)) if own is None else [own]
    else:
        namespaces = [
            name for name in _inhabited(world) if policy.spaces.matches(namespace_labels(name, world, near)[0])
        ]
    if any(_selects(policy, endpoints_of(name, world, near), name, world, near) for name in namespaces):
        return True
    return _selects(policy, _homeless(world), near.namespace or world.default_namespace, world, near)


def _inhabited(world: World) -> tuple[str, ...]:
    """The namespaces that hold workloads."""

    def build() -> tuple[str, ...]:
        found = {world.namespace_of(resource) for kind in PODS for resource in world.all(kind)}
        return tuple(sorted(name for name in found if name is not None))

    return world.memo(("inhabited",), PODS, build)


def _selects(policy: Policy, endpoints: Endpoints, namespace: str, world: World, near: Resource) -> bool:
    if policy.accounts is None and policy.pods.matches_all({}):
        return bool(endpoints.every)
    if not policy.implied:
        return any(policy.pods.matches(labels) for labels, _ in endpoints.candidates(policy.pods))
    space = space_of(namespace, world, near)
    return any(
        policy.pods.matches(space.seen(labels, account))
        and (policy.accounts is None or policy.accounts.matches(account_labels(account, namespace, world, near)))
        for labels, account in endpoints.every
    )
