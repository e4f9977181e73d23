"""What lies outside the ActivityProfiles of a namespace: programs, destinations, requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iocaudit.core.severity import Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.falco import FalcoAlert
from iocaudit.signals.indicators import binaries, outbound, user_activity
from iocaudit.signals.indicators.declaration import Observation
from iocaudit.signals.profiles.activity import Activity, connection_of, program_of, request_of
from iocaudit.signals.profiles.profile import ProfileMode
from iocaudit.signals.signal import SignalSource
from iocaudit.signals.wording import what, who

if TYPE_CHECKING:
    from iocaudit.signals.profiles.profile import ProfileSet


def _seen(activity: Activity, profiles: ProfileSet, message: str) -> Observation | None:
    verdict = profiles.judge(activity)
    if verdict is None or not verdict.is_outside or verdict.mode is ProfileMode.LEARN:
        return None
    return Observation(message, Severity.LOW if verdict.mode is ProfileMode.WARN else None)


@binaries.INDICATOR.detects(
    "program-outside-profile",
    severity=Severity.HIGH,
    technique="T1204.003",
    feeds=SignalSource.FALCO,
    related=("writable-root-filesystem", "untrusted-registry"),
    asks_profiles=True,
)
def program_outside_profile(alert: FalcoAlert, profiles: ProfileSet) -> Observation | None:
    """A program runs that no profile of its namespace expects of its image.

    What an application starts is known before; anything else was brought along. Low while the profile only warns.

    Profile:

        processes:
        - image: registry.example.com/shop/web
          executables: [/usr/sbin/nginx]

    Fires:

        rule: A program runs
        priority: Notice
        source: syscall
        time: "2026-11-30T10:00:00.000000000Z"
        output_fields: {k8s.ns.name: shop, k8s.pod.name: web, container.image.repository: registry.example.com/shop/web, proc.exepath: /tmp/x}

    Quiet:

        rule: A program runs
        priority: Notice
        source: syscall
        time: "2026-11-30T10:00:00.000000000Z"
        output_fields: {k8s.ns.name: shop, k8s.pod.name: web, container.image.repository: registry.example.com/shop/web, proc.exepath: /usr/sbin/nginx}

    Sources: MITRE ATT&CK T1204.003, Malicious Image.
    """
    found = program_of(alert)
    if found is None:
        return None
    image = f" of image {clip(found.image)}" if found.image else ""
    pod = alert.field("k8s.pod.name")
    where = f"Pod {found.namespace}/{pod}" if pod else f"namespace {found.namespace}"
    return _seen(found, profiles, f"{clip(found.path)} runs in {clip(where)}{image}, which no profile expects")


@outbound.INDICATOR.detects(
    "destination-outside-profile",
    severity=Severity.HIGH,
    technique="T1071",
    feeds=SignalSource.FALCO,
    related=("no-egress-policy",),
    asks_profiles=True,
)
def destination_outside_profile(alert: FalcoAlert, profiles: ProfileSet) -> Observation | None:
    """A pod talks to a place that no profile of its namespace expects.

    By address or name, and by port. Connections within the pod are left out. Low while the profile only warns.

    Profile:

        destinations:
        - to: [10.0.0.0/8]
          ports: [5432]

    Fires:

        rule: A connection goes out
        priority: Notice
        source: syscall
        time: "2026-11-30T10:00:00.000000000Z"
        output_fields: {evt.type: connect, k8s.ns.name: shop, k8s.pod.name: web, fd.rip: 198.51.100.7, fd.rport: 4444}

    Quiet:

        rule: A connection goes out
        priority: Notice
        source: syscall
        time: "2026-11-30T10:00:00.000000000Z"
        output_fields: {evt.type: connect, k8s.ns.name: shop, k8s.pod.name: web, fd.rip: 10.1.2.3, fd.rport: 5432}

    Sources: MITRE ATT&CK T1071, Application Layer Protocol.
    """
    found = connection_of(alert)
    if found is None:
        return None
    port = f" port {found.port}" if found.port is not None else ""
    pod = alert.field("k8s.pod.name")
    where = f"Pod {found.namespace}/{pod}" if pod else f"namespace {found.namespace}"
    return _seen(found, profiles, f"{clip(where)} talks to {clip(found.host)}{port}, which no profile expects")


@user_activity.INDICATOR.detects(
    "request-outside-profile",
    severity=Severity.MEDIUM,
    technique="T1078",
    related=("secret-access",),
    asks_profiles=True,
)
def request_outside_profile(event: AuditEvent, profiles: ProfileSet) -> Observation | None:
    """An account asks for something in a namespace that no profile of it expects.

    Refused requests count too: someone tries. What the cluster and its cloud do is left out, and so are dry runs. Low
    while the profile only warns.

    Profile:

        accounts:
        - account: system:serviceaccount:shop:web
          rules:
          - verbs: [get, list]
            resources: [configmaps]

    Fires:

        verb: get
        user: {username: "system:serviceaccount:shop:web"}
        objectRef: {resource: secrets, namespace: shop, name: db}
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: "system:serviceaccount:shop:web"}
        objectRef: {resource: configmaps, namespace: shop, name: web}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1078, Valid Accounts.
    """
    found = request_of(event)
    if found is None:
        return None
    did = f"{who(event)} asks to {clip(found.verb)} {clip(found.whole)} ({what(event)})"
    return _seen(found, profiles, f"{did}, which no profile of the namespace expects")
