"""Pods that a controller makes of a custom resource: files hold the resource, and nobody sees the labels of its pods.

A policy may select them all the same. Told by what such controllers have in common: they label the pods with the
resource's name or kind, under a domain of their own API group, or as managed by an operator.
Sources: kube-prometheus, Strimzi, ECK, CloudNativePG, Crunchy and Zalando PostgreSQL, RabbitMQ, MinIO and Longhorn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.world import OtherObject, World
from iocaudit.knowledge.network.model import TrafficPolicy
from iocaudit.knowledge.network.selectors import LabelSelector, Selector

_MANAGED_BY = "app.kubernetes.io/managed-by"
_SHARED_DOMAINS = frozenset({"app.kubernetes.io", "kubernetes.io", "k8s.io", "helm.sh"})
_SHORTEST = 2
_MAKE_NONE = frozenset(
    {
        "acme.cert-manager.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io",
        "autoscaling.k8s.io", "bitnami.com", "cert-manager.io", "cilium.io", "configuration.konghq.com",
        "crd.projectcalico.org", "external-secrets.io", "gateway.networking.k8s.io", "k8s.nginx.org", "keda.sh",
        "kyverno.io", "networking.istio.io", "policy.networking.k8s.io", "projectcalico.org", "projectcontour.io",
        "route.openshift.io", "security.istio.io", "snapshot.storage.k8s.io", "telemetry.istio.io",
        "templates.gatekeeper.sh", "traefik.containo.us", "traefik.io",
    }
)  # fmt: skip
"""API groups of which no object has pods of its own."""
_KINDS_MAKE_NONE = frozenset(
    {"AlertmanagerConfig", "PodMonitor", "Probe", "PrometheusRule", "ScrapeConfig", "ServiceMonitor"}
)


class _LabelChoice(NamedTuple):
    key: str
    values: frozenset[str]


def maker_of(policies: Iterable[TrafficPolicy], namespace: str | None, world: World) -> str:
    """What may make the pods that policies of a namespace select (None: of any); empty where nothing is known to."""
    wanted = [one for policy in policies for one in _wanted(policy.pods)]
    for key, values in wanted:
        if key == _MANAGED_BY and (operator := next((one for one in sorted(values) if one.endswith("operator")), "")):
            return operator
    for other in world.others:
        if other.group in _MAKE_NONE or other.kind in _KINDS_MAKE_NONE:
            continue
        near = namespace is None or other.namespace in (None, namespace)
        if near and any(_named_after(other, one) for one in wanted):
            return f"{other.kind} {other.name}".strip()
    for key, _ in wanted:
        if group := next((one for one in sorted(world.installed) if _is_domain_of(key, one)), ""):
            return f"the controllers of {group}"
    return ""


def _wanted(selector: Selector) -> Iterator[_LabelChoice]:
    """The labels that pods must have for a selector to match."""
    if isinstance(selector, LabelSelector):
        for one in selector.requirements:
            if one.operator in ("In", "Exists"):
                yield _LabelChoice(_plain(one.key), one.values)
        return
    for key, values in selector.anchors or ():
        yield _LabelChoice(_plain(key), values or frozenset())


def _plain(key: str) -> str:
    """A label's key without the source that Cilium puts in front."""
    return key.removeprefix("k8s:").removeprefix("any:")


def _named_after(other: OtherObject, wanted: _LabelChoice) -> bool:
    name, kind = other.name, other.kind.lower()
    return _is_domain_of(wanted.key, other.group) or any(
        value.lower() == kind or (len(name) >= _SHORTEST and (value == name or value.startswith(f"{name}-")))
        for value in wanted.values
    )


def _is_domain_of(key: str, group: str) -> bool:
    """Whether a label stands under the domain of an API group, or of what that one lies in."""
    domain, slash, _ = key.partition("/")
    return bool(slash) and domain not in _SHARED_DOMAINS and (group == domain or group.endswith(f".{domain}"))
