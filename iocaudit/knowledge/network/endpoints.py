"""The workloads of a world as policies select them: few different label sets, by namespace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.kinds import PODS
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Labels, text
from iocaudit.core.world import World
from iocaudit.knowledge.network.coverage import account_labels, namespace_labels, space_of
from iocaudit.knowledge.network.model import TrafficPolicy
from iocaudit.knowledge.network.selectors import Selector, read_labels
from iocaudit.knowledge.pods.places import pods_of


class Endpoint(NamedTuple):
    """A label set of pods, with their ServiceAccount. ``title`` is one of those that bear it."""

    labels: Labels
    account: str
    title: str


class Endpoints:
    """The different label sets of a namespace's pods and pod templates, by label."""

    def __init__(self, found: Iterator[tuple[frozenset[tuple[str, str]], str, str]]) -> None:
        self._by_label: dict[tuple[str, str], list[Endpoint]] = {}
        self._by_key: dict[str, list[Endpoint]] = {}
        titles: dict[tuple[frozenset[tuple[str, str]], str], str] = {}
        for pairs, account, title in found:
            titles.setdefault((pairs, account), title)
        self.every = [Endpoint(dict(pairs), account, title) for (pairs, account), title in titles.items()]
        for one in self.every:
            for key, value in one.labels.items():
                self._by_label.setdefault((key, value), []).append(one)
                self._by_key.setdefault(key, []).append(one)

    def candidates(self, selector: Selector) -> list[Endpoint]:
        """Those whose own labels can match a selector."""
        anchors = selector.anchors
        if anchors is None:
            return self.every
        found: list[Endpoint] = []
        for key, values in anchors:
            if values is None:
                found += self._by_key.get(key, ())
            else:
                found += [one for value in values for one in self._by_label.get((key, value), ())]
        return found


def endpoints_of(namespace: str, world: World, near: Resource | None = None, *, on_node: bool = False) -> Endpoints:
    """The workloads of a namespace, whatever their state: those of the pod network, or those on the node's."""

    def build() -> Endpoints:
        among = (resource for kind in PODS for resource in world.of(kind, namespace, near=near))
        return Endpoints(_found(among, on_node))

    return world.memo(("endpoints", namespace, on_node), PODS, build, near=near, namespace=namespace)


def _homeless(world: World, *, on_node: bool) -> Endpoints:
    """The workloads of files that name no namespace: anyone who applies them says which."""

    def build() -> Endpoints:
        among = (
            resource
            for kind in PODS
            if kind.namespaced
            for resource in world.of(kind, world.default_namespace)
            if resource.namespace is None
        )
        return Endpoints(_found(among, on_node))

    return world.memo(("endpoints", None, on_node), PODS, build)


def _found(resources: Iterable[Resource], on_node: bool) -> Iterator[tuple[frozenset[tuple[str, str]], str, str]]:
    for resource in resources:
        for pod in pods_of(resource):
            if pod.host_network is on_node:
                title = f"{resource.kind_name} {resource.name or text(resource.metadata.get('generateName'))}"
                yield frozenset(read_labels(pod.labels).items()), pod.service_account, title


def selected_by(policy: TrafficPolicy, world: World, near: Resource, *, on_node: bool = False) -> str:
    """Some known workload that a policy selects; empty where there is none.

    Asked for those on the node's network, it says whom the selector means, though no policy holds them. A workload or
    a policy of a file that names no namespace may end up in any, and so with any.
    """
    if policy.spaces is None:
        own = near.namespace
        namespaces = list(_inhabited(world)) if own is None else [own]
    else:
        namespaces = [
            name for name in _inhabited(world) if policy.spaces.matches(namespace_labels(name, world, near)[0])
        ]
    for name in namespaces:
        if found := _selects(policy, endpoints_of(name, world, near, on_node=on_node), name, world, near):
            return found
    homeless = _homeless(world, on_node=on_node)
    return _selects(policy, homeless, near.namespace or world.default_namespace, world, near)


def _inhabited(world: World) -> tuple[str, ...]:
    """The namespaces that hold workloads."""

    def build() -> tuple[str, ...]:
        found = {world.namespace_of(resource) for kind in PODS for resource in world.all(kind)}
        return tuple(sorted(name for name in found if name is not None))

    return world.memo(("inhabited",), PODS, build)


def _selects(policy: TrafficPolicy, endpoints: Endpoints, namespace: str, world: World, near: Resource) -> str:
    if policy.accounts is None and policy.pods.matches_all({}):
        return endpoints.every[0].title if endpoints.every else ""
    if not policy.implied:
        found = (one.title for one in endpoints.candidates(policy.pods) if policy.pods.matches(one.labels))
        return next(found, "")
    space = space_of(namespace, world, near)
    return next(
        (
            title
            for labels, account, title in endpoints.every
            if policy.pods.matches(space.seen(labels, account))
            and (policy.accounts is None or policy.accounts.matches(account_labels(account, namespace, world, near)))
        ),
        "",
    )
