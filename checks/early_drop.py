"""Clusters on Calico or Cilium where nothing drops hostile packets early."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.kinds.policies import (
    CALICO_GLOBAL_NETWORK_POLICY,
    CALICO_HOST_ENDPOINT,
    FELIX_CONFIGURATION,
    STORED_FELIX_CONFIGURATION,
    STORED_GLOBAL_NETWORK_POLICY,
    STORED_HOST_ENDPOINT,
)
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import mapping, text
from iocaudit.core.world import World
from iocaudit.knowledge.network.early import early_policies

_CONTROLS = {"attack": "T1498", "ms": "MS-TA9040", "owasp": "K06", "nsa": "Network policies"}
_ACCELERATION = ("bpf-lb-acceleration", "node-port-acceleration")
_ACCELERATED = ("native", "best-effort", "testing-only")


@check(
    "no-early-drop",
    severity=Severity.LOW,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="network",
    looks_at=(FELIX_CONFIGURATION, STORED_FELIX_CONFIGURATION, CONFIG_MAP),
    needs=(
        CALICO_GLOBAL_NETWORK_POLICY,
        STORED_GLOBAL_NETWORK_POLICY,
        CALICO_HOST_ENDPOINT,
        STORED_HOST_ENDPOINT,
    ),
    uses=(FELIX_CONFIGURATION,),
    controls=_CONTROLS,
    profile="strict",
    audit_only=True,
)
def no_early_drop(resource: Resource, world: World) -> Iterator[Hit]:
    """Nothing drops hostile packets early on the nodes' outer interfaces.

    A flood that is dropped only after connection tracking and address translation has done its harm by then. Calico
    drops early by an untracked (doNotTrack) or pre-DNAT policy with a Deny that selects a HostEndpoint, untracked
    ones in XDP unless FelixConfiguration turns that off. Cilium does by XDP acceleration or prefilter, or at least
    by its host firewall. Said of the engine's own configuration: the FelixConfiguration named default, the
    ConfigMap cilium-config.

    Bad:

        apiVersion: projectcalico.org/v3
        kind: FelixConfiguration
        metadata: {name: default}
        spec: {xdpEnabled: false}

    Good:

        apiVersion: projectcalico.org/v3
        kind: FelixConfiguration
        metadata: {name: default}
        spec: {}
        ---
        apiVersion: projectcalico.org/v3
        kind: HostEndpoint
        metadata: {name: node-1-eth0, labels: {role: node}}
        spec: {node: node-1, interfaceName: eth0}
        ---
        apiVersion: projectcalico.org/v3
        kind: GlobalNetworkPolicy
        metadata: {name: drop-blocked}
        spec:
          selector: role == 'node'
          doNotTrack: true
          applyOnForward: true
          types: [Ingress]
          ingress:
          - action: Deny
            source: {nets: [192.0.2.0/24]}

    Fix: With Calico, add HostEndpoints and a GlobalNetworkPolicy with doNotTrack and Deny rules for what is never
    wanted; with Cilium, enable XDP acceleration and the host firewall.

    Sources: Calico documentation, Defend against DoS attacks, and reference of FelixConfiguration; Cilium
    documentation, XDP acceleration and host firewall.
    """
    if resource.kind is CONFIG_MAP:
        yield from _cilium(resource)
    elif resource.name == "default" and not _is_served_otherwise(resource, world):
        yield from _calico(resource, world)


def _is_served_otherwise(resource: Resource, world: World) -> bool:
    """Whether Calico's API serves the same object, so it is spoken of once."""
    return (
        resource.kind is STORED_FELIX_CONFIGURATION
        and world.get(FELIX_CONFIGURATION, None, resource.name, near=resource) is not None
    )


def _calico(resource: Resource, world: World) -> Iterator[Hit]:
    found = early_policies(world, resource)
    if not found:
        yield Hit(
            "spec",
            "Calico is in use, and no policy with doNotTrack or preDNAT denies anything on a HostEndpoint",
            "no policy",
        )
    elif mapping(resource.raw.get("spec")).get("xdpEnabled") is False and all(policy.untracked for policy in found):
        yield Hit("spec.xdpEnabled", "xdpEnabled is false, so untracked policies are not enforced in XDP", "false")


def _cilium(resource: Resource) -> Iterator[Hit]:
    if resource.name != "cilium-config":
        return
    data = mapping(resource.raw.get("data"))
    accelerated = any(text(data.get(name)).lower() in _ACCELERATED for name in _ACCELERATION)
    if accelerated or _is_on(data.get("enable-xdp-prefilter")) or _is_on(data.get("enable-host-firewall")):
        return
    yield Hit(
        "data",
        "Cilium runs without XDP acceleration (bpf-lb-acceleration) and host firewall (enable-host-firewall)",
        "off",
    )


def _is_on(value: object) -> bool:
    return text(value).lower() == "true"
