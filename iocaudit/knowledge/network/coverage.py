"""Who isolates a pod, by direction, across every policy API at once.

Policies are read once an object (``Resource.derive``) and kept by namespace: those that stand in it and those of
cluster scope that select it by its labels. A change in one namespace leaves what is known of the others. Of a
Namespace that is not among what was read only the name is known, so it carries ``kubernetes.io/metadata.name`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iocaudit.core.kinds import NAMESPACE, NETWORK_POLICY, SERVICE_ACCOUNT, Kind
from iocaudit.core.kinds.policies import (
    ADMIN_NETWORK_POLICY,
    BASELINE_ADMIN_NETWORK_POLICY,
    CALICO_GLOBAL_NETWORK_POLICY,
    CALICO_NETWORK_POLICY,
    CALICO_TIER,
    CILIUM_CLUSTERWIDE_NETWORK_POLICY,
    CILIUM_NETWORK_POLICY,
    CLUSTER_NETWORK_POLICY,
    STORED_GLOBAL_NETWORK_POLICY,
    STORED_NETWORK_POLICY,
    STORED_TIER,
)
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Labels
from iocaudit.core.world import World
from iocaudit.knowledge.network import admin, calico, cilium, kubernetes
from iocaudit.knowledge.network.isolation import Coverage
from iocaudit.knowledge.network.model import (
    CILIUM_TIER,
    DEFAULT_TIER,
    TIERS,
    UNDECLARED,
    PodTarget,
    Tier,
    TrafficPolicy,
)
from iocaudit.knowledge.network.selectors import SelectorIndex, read_labels
from iocaudit.knowledge.pods.pod import PodSpec

_CALICO_NAME = "projectcalico.org/name"
_MOST_KEPT = 2_000

READERS: Mapping[Kind, Callable[[Resource], tuple[TrafficPolicy, ...]]] = {
    NETWORK_POLICY: kubernetes.read_policy,
    CALICO_NETWORK_POLICY: calico.read_policy,
    STORED_NETWORK_POLICY: calico.read_policy,
    CILIUM_NETWORK_POLICY: cilium.read_policy,
    CALICO_GLOBAL_NETWORK_POLICY: calico.read_policy,
    STORED_GLOBAL_NETWORK_POLICY: calico.read_policy,
    CILIUM_CLUSTERWIDE_NETWORK_POLICY: cilium.read_policy,
    ADMIN_NETWORK_POLICY: admin.read_policy,
    BASELINE_ADMIN_NETWORK_POLICY: admin.read_policy,
    CLUSTER_NETWORK_POLICY: admin.read_policy,
}
POLICIES: tuple[Kind, ...] = tuple(READERS)
"""The kinds that can isolate a pod."""

_TIERS = (CALICO_TIER, STORED_TIER)
_NAMESPACED = tuple(kind for kind in POLICIES if kind.namespaced)
_EVERYWHERE = tuple(kind for kind in POLICIES if not kind.namespaced)

_AT_HOME = (*_NAMESPACED, NAMESPACE, SERVICE_ACCOUNT)

NEEDS: tuple[Kind, ...] = (*POLICIES, *_TIERS, NAMESPACE)
"""What has to be known to say who isolates a pod."""

USES: tuple[Kind, ...] = (SERVICE_ACCOUNT,)
"""What is looked up where a policy selects by the labels of ServiceAccounts."""


class Space:
    """A namespace as the policies see it."""

    def __init__(
        self, name: str, labels: Labels, known: bool, policies: Iterable[TrafficPolicy], tiers: Mapping[str, Tier]
    ) -> None:
        self.name = name
        self.labels = labels
        self.known = known
        self.tiers = tiers
        self.implied = _implied(name, labels)
        ranked = sorted(_as_enforced(policies), key=lambda policy: _rank(policy, tiers))
        self._ranked = ranked
        self._plain = SelectorIndex((p.pods, n) for n, p in enumerate(ranked) if not p.implied)
        self._seeing = SelectorIndex((p.pods, n) for n, p in enumerate(ranked) if p.implied)
        self._implies = any(policy.implied for policy in ranked)
        self.by_accounts = [policy for policy in ranked if policy.accounts is not None]
        self._kept: dict[tuple[frozenset[tuple[str, str]], str], Coverage] = {}
        self._default: Coverage | None = None

    @property
    def policies(self) -> list[TrafficPolicy]:
        """Every policy that can select a pod of it, in order."""
        return self._ranked

    def coverage(self, labels: Labels, account: str, account_labels: Callable[[str], Labels]) -> Coverage:
        """The policies that select pods of these labels and ServiceAccount."""
        key = (frozenset(labels.items()), account if self._implies else "")
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[key] = self._coverage(labels, account, account_labels)
        return found

    def _coverage(self, labels: Labels, account: str, account_labels: Callable[[str], Labels]) -> Coverage:
        numbers = self._plain.matching(labels)
        if self._implies:
            seen = self.seen(labels, account)
            numbers += self._seeing.matching(seen)
        selected = [self._ranked[number] for number in sorted(numbers)]
        if self.by_accounts:
            theirs = account_labels(account)
            selected = [p for p in selected if p.accounts is None or p.accounts.matches(theirs)]
        return Coverage(tuple(selected), self.tiers, self.name, is_guessed=self.is_guessed)

    def seen(self, labels: Labels, account: str) -> dict[str, str]:
        """A pod's labels with those that Calico and Cilium add."""
        return {
            **labels,
            **self.implied,
            "projectcalico.org/serviceaccount": account,
            cilium.ACCOUNT_LABEL: account,
        }

    def default(self) -> Coverage:
        """The policies that select every pod there is or will be."""
        if self._default is None:
            found = [
                policy
                for policy in self._ranked
                if policy.accounts is None and policy.pods.matches_all(self.implied if policy.implied else {})
            ]
            self._default = Coverage(tuple(found), self.tiers, self.name, is_guessed=self.is_guessed)
        return self._default

    @cached_property
    def is_guessed(self) -> bool:
        """Whether a policy asks for labels of this namespace that are not known."""
        return not self.known and any(
            policy.spaces is not None and not policy.spaces.keys <= self.labels.keys() for policy in self._ranked
        )


def _implied(name: str, labels: Labels) -> dict[str, str]:
    found = {f"pcns.{key}": value for key, value in labels.items()}
    found |= {cilium.NAMESPACE_LABELS + key: value for key, value in labels.items() if key != _CALICO_NAME}
    found |= {
        "projectcalico.org/namespace": name,
        "projectcalico.org/orchestrator": "k8s",
        cilium.NAMESPACE_LABEL: name,
        cilium.CLUSTER_LABEL: "default",
    }
    return found


def _as_enforced(policies: Iterable[TrafficPolicy]) -> list[TrafficPolicy]:
    """Where Cilium has policies it enforces those of Kubernetes too, and all of them are one set.

    Only policies whose selectors see no implied labels are Kubernetes' own in the default tier.
    """
    found = list(policies)
    if not any(policy.tier == CILIUM_TIER for policy in found):
        return found
    return [
        policy._replace(tier=CILIUM_TIER) if policy.tier == DEFAULT_TIER and not policy.implied else policy
        for policy in found
    ]


def _rank(policy: TrafficPolicy, tiers: Mapping[str, Tier]) -> tuple[Any, ...]:
    return (tiers.get(policy.tier, UNDECLARED).order, policy.tier, policy.order, policy.title)


class _Home:
    """What stands in a namespace, and the Space made of that and of the policies of cluster scope.

    The Space stays as long as the same policies select the namespace, whatever happens to others.
    """

    def __init__(self, name: str, labels: Labels, known: bool, policies: list[TrafficPolicy]) -> None:
        self._name, self._labels, self._known, self._policies = name, labels, known, policies
        self._cluster: _Cluster | None = None
        self._selecting: list[TrafficPolicy] = []
        self._space: Space | None = None

    def space(self, cluster: _Cluster) -> Space:
        found, before = self._space, self._cluster
        if found is None or before is not cluster:
            selecting = cluster.policies.matching(self._labels)
            self._cluster = cluster
            same = before is not None and before.tiers == cluster.tiers
            if found is None or not same or list(map(id, selecting)) != list(map(id, self._selecting)):
                policies = [*self._policies, *selecting]
                found = self._space = Space(self._name, self._labels, self._known, policies, cluster.tiers)
                self._selecting = selecting
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Cluster:
    """The tiers, and the policies of cluster scope by the namespaces that they select."""

    tiers: Mapping[str, Tier]
    policies: SelectorIndex[TrafficPolicy]


def space_of(namespace: str, world: World, near: Resource | None = None) -> Space:
    """The policies of a namespace."""

    def build() -> _Home:
        labels, known = namespace_labels(namespace, world, near)
        policies = [
            policy
            for kind in _NAMESPACED
            for resource in world.of(kind, namespace, near=near)
            for policy in resource.derive(READERS[kind])
        ]
        return _Home(namespace, labels, known, policies)

    home = world.memo(("network", namespace), _AT_HOME, build, near=near, namespace=namespace)
    return home.space(_cluster_wide(world, near))


def _cluster_wide(world: World, near: Resource | None) -> _Cluster:
    def build() -> _Cluster:
        tiers = dict(TIERS)
        for kind in _TIERS:
            tiers |= {tier.name: tier.derive(calico.read_tier) for tier in world.all(kind, near=near)}
        index: SelectorIndex[TrafficPolicy] = SelectorIndex()
        for kind in _EVERYWHERE:
            for resource in world.all(kind, near=near):
                for policy in resource.derive(READERS[kind]):
                    if policy.spaces is not None:
                        index.add(policy.spaces, policy)
        return _Cluster(tiers, index)

    return world.memo(("network", None), (*_EVERYWHERE, *_TIERS), build, near=near)


def namespace_labels(namespace: str, world: World, near: Resource | None = None) -> tuple[Labels, bool]:
    """The labels of a namespace as selectors see them, and whether the Namespace itself is known."""
    found = world.get(NAMESPACE, None, namespace, near=near)
    labels = read_labels(found.labels) if found is not None else {}
    # The API server sets the one, Calico sees the other; neither can be another than the name.
    return {**labels, NAME_LABEL: namespace, _CALICO_NAME: namespace}, found is not None


def account_labels(name: str, namespace: str, world: World, near: Resource) -> Labels:
    """The labels of a ServiceAccount as Calico sees them; one that is not known has none of its own."""
    found = world.get(SERVICE_ACCOUNT, namespace, name, near=near)
    labels = read_labels(found.labels) if found is not None else {}
    return {**labels, _CALICO_NAME: name}


def coverage_of(pod: PodSpec, world: World) -> Coverage | str | None:
    """The policies that select a pod; why that cannot be known; None where no policy can hold it.

    Pods on the node's network are beyond policies, and what has ended sends nothing.
    """
    namespace = world.namespace_of(pod.resource)
    if namespace is None or pod.host_network or has_ended(pod):
        return None
    near = pod.resource
    space = space_of(namespace, world, near)
    if space.by_accounts and (reason := world.incomplete(SERVICE_ACCOUNT)) is not None:
        return f"{space.by_accounts[0].title} selects by labels of ServiceAccounts, which are not known: {reason}"

    return space.coverage(
        read_labels(pod.labels), pod.service_account, lambda name: account_labels(name, namespace, world, near)
    )


def has_ended(pod: PodSpec) -> bool:
    """Whether it is a Pod that has run to its end."""
    status = pod.resource.raw.get("status")
    return isinstance(status, dict) and status.get("phase") in ("Succeeded", "Failed")


def dns_target(world: World, near: Resource | None = None) -> PodTarget:
    """The cluster's DNS servers, as every distribution labels them."""
    labels, known = namespace_labels("kube-system", world, near)
    return PodTarget("kube-system", labels, {"k8s-app": "kube-dns"}, known)
