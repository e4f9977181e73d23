"""Indicator 5: floods, of the API server above all, and what is opened to the outside."""

from __future__ import annotations

from datetime import timedelta

from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, strings, text
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.accounts import is_own
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.memory import Steps
from iocaudit.signals.wording import account_of, origin, what, who

INDICATOR = Indicator(
    IoC.INBOUND_TRAFFIC,
    "inbound-traffic",
    "Requests that the API server turns away because there are too many; Services that are opened to the outside; from "
    "metrics, its load, its queues and its failed handshakes.",
    "Floods of applications: metrics of their gateways have to report them.",
)
_MOST_REJECTED = 20


@INDICATOR.detects(
    "api-server-flooded",
    severity=Severity.MEDIUM,
    technique="T1499",
    related=("apiserver-flow-exempt",),
    window=timedelta(minutes=1),
)
def api_server_flooded(event: AuditEvent, steps: Steps) -> Observation | None:
    """One account sends more requests than the API server takes.

    The API server answered 429 (too many requests) to twenty requests of one account within a minute: a client that
    runs wild, or someone who wants it down.

    Fires:

        many: 20
        verb: list
        auditID: flood-%d
        user: {username: alice}
        objectRef: {resource: pods}
        responseStatus: {code: 429}
        stageTimestamp: "2026-11-30T10:00:01Z"

    Quiet:

        - {verb: list, user: {username: alice}, auditID: f-01, objectRef: {resource: pods}, responseStatus: {code: 429}, stageTimestamp: "2026-11-30T10:00:01Z"}

    Sources: Kubernetes documentation, API Priority and Fairness; MITRE ATT&CK T1499.
    """
    if event.code != 429 or (event.target.subresource == "eviction"):
        return None  # an eviction is answered so while a PodDisruptionBudget allows none
    if not steps.reaches(account_of(event), event.audit_id or f"{event.when}", event.when, _MOST_REJECTED):
        return None
    count = _MOST_REJECTED
    return Observation(f"the API server turned away {count} requests of {who(event)}{origin(event)} within a minute")


@INDICATOR.detects(
    "service-opened",
    severity=Severity.LOW,
    technique="T1133",
    on=("services",),
    related=("node-port-service", "load-balancer-open", "service-external-ip"),
)
def service_opened(event: AuditEvent) -> Observation | None:
    """Someone opens a Service to the outside.

    A port on every node, or external addresses, which draw the traffic of others to it (medium). The checks judge a
    Service as it is stored; this one says so of a patch, too.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: services, namespace: shop, name: db}
        requestObject: {spec: {type: NodePort}}
        responseStatus: {code: 200}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: services, namespace: shop, name: db}
        requestObject: {spec: {type: ClusterIP, ports: [{port: 5432}]}}
        responseStatus: {code: 201}

    Sources: Microsoft threat matrix for Kubernetes, Exposed sensitive interfaces; CVE-2020-8554; MITRE ATT&CK T1133.
    """
    if event.verb not in ("create", "update", "patch") or not event.went_on or is_own(event.user):
        return None
    addresses = strings(lookup(event.request_object, "spec", "externalIPs"))
    if addresses:
        return Observation(
            f"{who(event)} gives {what(event)} external addresses: {clip(', '.join(addresses))}", Severity.MEDIUM
        )
    kind = text(lookup(event.request_object, "spec", "type"))
    for operation in event.json_patch or ():
        if isinstance(operation, dict) and operation.get("path") == "/spec/type":
            kind = text(operation.get("value"))
    if kind != "NodePort":
        return None
    return Observation(f"{who(event)} opens {what(event)} on a port of every node")
