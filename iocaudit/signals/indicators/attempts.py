"""What an account tried to do and may not: sessions, and to act in another's name."""

from __future__ import annotations

from iocaudit.core.severity import Severity
from iocaudit.signals.accounts import is_own
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.declaration import Observation
from iocaudit.signals.indicators.user_activity import INDICATOR
from iocaudit.signals.wording import what, who

_SESSIONS = ("pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "nodes/proxy")


@INDICATOR.detects(
    "session-refused",
    severity=Severity.LOW,
    technique="T1609",
    on=_SESSIONS,
    related=("exec-permission", "node-proxy-access"),
)
def session_refused(event: AuditEvent) -> Observation | None:
    """Someone tries to get into a pod or a node, and may not.

    By its rights, or as admission refuses it. A developer in the wrong cluster does so once; a program never has reason
    to, so from a ServiceAccount it is medium.

    Fires:

        verb: create
        user: {username: "system:serviceaccount:shop:web"}
        objectRef: {resource: pods, subresource: exec, namespace: kube-system, name: etcd}
        responseStatus: {code: 403}

    Quiet:

        verb: get
        user: {username: alice}
        objectRef: {resource: pods, namespace: shop, name: web}
        responseStatus: {code: 403}

    Sources: MITRE ATT&CK T1609, Container Administration Command.
    """
    if not event.is_refused or is_own(event.user):
        return None
    is_account = event.user.username.startswith("system:serviceaccount:")
    tried = f"{who(event)} tries to {event.verb} {event.target.whole} of {what(event)}"
    return Observation(f"{tried} and is refused", Severity.MEDIUM if is_account else None)


@INDICATOR.detects(
    "impersonation-refused",
    severity=Severity.MEDIUM,
    technique="T1134.003",
    related=("escalation-verb", "rbac-management"),
)
def impersonation_refused(event: AuditEvent) -> Observation | None:
    """Someone tries to act in another's name, and may not.

    Nobody does so by mistake: it takes a flag of kubectl, or a header of its own.

    Fires:

        verb: get
        user: {username: alice}
        impersonatedUser: {username: "system:admin", groups: ["system:masters"]}
        objectRef: {resource: secrets, namespace: kube-system, name: bootstrap}
        responseStatus: {code: 403, reason: Forbidden, message: 'users "system:admin" is forbidden: User "alice" cannot impersonate resource "users" in API group "" at the cluster scope'}

    Quiet:

        verb: get
        user: {username: alice}
        impersonatedUser: {username: bob, groups: [devs]}
        objectRef: {resource: secrets, namespace: kube-system, name: bootstrap}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, User impersonation; MITRE ATT&CK T1134.
    """
    if is_own(event.user) or not event.is_refused:
        return None
    if event.verb != "impersonate" and event.impersonated is None:
        return None
    return Observation(f"{who(event)} tries to act in another's name, and is refused: {event.verb} {what(event)}")
