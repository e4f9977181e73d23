"""Indicator 1: a spike of CPU or memory. Of the audit log: miners that sessions start, and rivals that they end."""

from __future__ import annotations

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.command import suspicions
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.commands import kills_competitors
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.indicators.outbound import opened
from iocaudit.signals.wording import what, who

INDICATOR = Indicator(
    IoC.RESOURCE_SPIKE,
    "resource-spikes",
    "From metrics, CPU and memory beyond a workload's baseline or its limits; from Falco and from sessions, miners that "
    "start and competitors that are ended.",
    "How much a container uses: only metrics say so.",
)
_EXEC = ("pods/exec",)
_RELATED = ("cpu-unlimited", "memory-unlimited", "exec-permission", "no-egress-policy")


@INDICATOR.detects("miner-in-session", severity=Severity.CRITICAL, technique="T1496.001", on=_EXEC, related=_RELATED)
def miner_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod starts a miner.

    By the program's name, by the protocol of mining pools or by the pool's address.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=%2Ftmp%2Fxmrig&command=-o&command=pool.example.com%3A3333&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=top&command=-b&command=-n1&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1496.001, Compute Hijacking.
    """
    command = opened(event)
    if not any(one.id in ("miner", "stratum") for one in suspicions(command)):
        return None
    return Observation(f"{who(event)} starts a miner in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "competitors-killed-in-session", severity=Severity.HIGH, technique="T1489", on=_EXEC, related=_RELATED
)
def competitors_killed_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod ends other miners, or what watches for them.

    Miners make room for themselves: they end those of others, and agents that would report them.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=pkill&command=-9&command=kdevtmpfsi&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=kill&command=-HUP&command=1&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1489, Service Stop.
    """
    command = opened(event)
    if not kills_competitors(command):
        return None
    return Observation(f"{who(event)} ends competitors or guards in {what(event)}: {clip(' '.join(command))}")
