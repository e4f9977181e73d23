"""Indicator 4: Secrets that are read or changed."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from iocaudit.core.request import service_account_of
from iocaudit.core.severity import Severity
from iocaudit.signals.accounts import (
    is_anonymous,
    is_own,
    is_person,
    is_system_space,
    uses_script,
    uses_tool_of_person,
)
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.declaration import Observation
from iocaudit.signals.indicators.user_activity import INDICATOR
from iocaudit.signals.memory import Steps
from iocaudit.signals.wording import account_of, origin, what, who

_ON = ("secrets",)
_RELATED = ("secret-access",)
_RELEASE = "sh.helm.release."
_OF_PERSON, _OF_PROGRAM = 5, 25


def is_helms(event: AuditEvent) -> bool:
    """Whether it is a record of a release, which Helm reads at each command: an object, or a list by its label."""
    if event.target.name.startswith(_RELEASE):
        return True
    if "owner" not in event.uri:
        return False
    try:
        selector = parse_qs(urlsplit(event.uri).query).get("labelSelector", [""])[-1]
    except ValueError:
        return False
    return "owner=helm" in selector.replace(" ", "").split(",")


def _is_quiet_reader(event: AuditEvent) -> bool:
    return is_own(event.user) or is_anonymous(event.user) or is_helms(event)


@INDICATOR.detects("secret-read", severity=Severity.LOW, technique="T1552.007", on=_ON, related=_RELATED)
def secret_read(event: AuditEvent) -> Observation | None:
    """Someone reads a Secret.

    Pods get theirs from the kubelet. A person who reads one, or a ServiceAccount that asks for one by name, is worth
    a line; of `kube-system` it is medium. Helm's records of its releases are left out.

    Fires:

        verb: get
        user: {username: alice}
        objectRef: {resource: secrets, namespace: shop, name: db}
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: "system:node:worker-1", groups: ["system:nodes"]}
        userAgent: kubelet/v1.36.0
        objectRef: {resource: secrets, namespace: shop, name: db}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1552.007; Microsoft threat matrix for Kubernetes, List Kubernetes secrets.
    """
    if event.verb != "get" or not event.went_on or _is_quiet_reader(event):
        return None
    severity = Severity.MEDIUM if is_system_space(event.target.namespace) and is_person(event.user) else None
    return Observation(f"{who(event)} reads {what(event)}", severity)


@INDICATOR.detects("secrets-listed", severity=Severity.LOW, technique="T1552.007", on=_ON, related=_RELATED)
def secrets_listed(event: AuditEvent) -> Observation | None:
    """Someone lists Secrets, which returns their values.

    A list of the whole cluster or of `kube-system` by a person, or by a ServiceAccount with a tool that people type, is
    medium. Controllers list and watch what they look after: theirs is low, and a watch alone is not reported.

    Fires:

        verb: list
        user: {username: alice}
        userAgent: kubectl/v1.36.0
        objectRef: {resource: secrets}
        requestURI: /api/v1/secrets?limit=500
        responseStatus: {code: 200}

    Quiet:

        verb: watch
        user: {username: "system:serviceaccount:ingress:controller"}
        userAgent: controller/v1 (linux/amd64) kubernetes/$Format
        objectRef: {resource: secrets}
        responseStatus: {code: 200}

    Sources: Microsoft threat matrix for Kubernetes, List Kubernetes secrets; MITRE ATT&CK T1552.007.
    """
    if event.verb not in ("list", "watch") or not event.went_on or _is_quiet_reader(event):
        return None
    by_hand = is_person(event.user) or uses_tool_of_person(event)
    if event.verb == "watch" and not by_hand:
        return None
    wide = not event.target.namespace or is_system_space(event.target.namespace)
    return Observation(f"{who(event)} lists {what(event)}", Severity.MEDIUM if by_hand and wide else None)


@INDICATOR.detects("secrets-read-by-script", severity=Severity.MEDIUM, technique="T1552.007", on=_ON, related=_RELATED)
def secrets_read_by_script(event: AuditEvent) -> Observation | None:
    """Secrets are read by curl, a script or a bare HTTP client.

    Kubernetes' own clients name themselves. What is typed in a shell inside a pod, with the token that lies there,
    looks like this.

    Fires:

        verb: get
        user: {username: "system:serviceaccount:shop:web"}
        userAgent: curl/8.5.0
        objectRef: {resource: secrets, namespace: shop, name: db}
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: "system:serviceaccount:shop:web"}
        userAgent: web/v0.0.0 (linux/amd64) kubernetes/$Format
        objectRef: {resource: secrets, namespace: shop, name: db}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1552.007.
    """
    if event.verb not in ("get", "list", "watch") or event.code == 401 or is_own(event.user):
        return None
    if not uses_script(event):
        return None
    agent = event.user_agent.partition(" ")[0][:40]
    return Observation(f"{who(event)}{origin(event)} reads {what(event)} by {agent}")


@INDICATOR.detects(
    "secrets-read-in-burst",
    severity=Severity.MEDIUM,
    technique="T1552.007",
    on=_ON,
    related=_RELATED,
    window=timedelta(minutes=5),
)
def secrets_read_in_burst(event: AuditEvent, steps: Steps) -> Observation | None:
    """One account reads many different Secrets in a short time.

    Five by a person, or by a tool that people type, or twenty-five by a program within five minutes: someone goes
    through them. What was refused counts.

    Fires:

        - {verb: get, user: {username: alice}, objectRef: {resource: secrets, namespace: shop, name: a}, responseStatus: {code: 200}, stageTimestamp: "2026-11-30T10:00:00Z"}
        - {verb: get, user: {username: alice}, objectRef: {resource: secrets, namespace: shop, name: b}, responseStatus: {code: 200}, stageTimestamp: "2026-11-30T10:00:01Z"}
        - {verb: get, user: {username: alice}, objectRef: {resource: secrets, namespace: shop, name: c}, responseStatus: {code: 200}, stageTimestamp: "2026-11-30T10:00:02Z"}
        - {verb: get, user: {username: alice}, objectRef: {resource: secrets, namespace: data, name: d}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:03Z"}
        - {verb: get, user: {username: alice}, objectRef: {resource: secrets, namespace: data, name: e}, responseStatus: {code: 200}, stageTimestamp: "2026-11-30T10:00:04Z"}

    Quiet:

        - {verb: get, user: {username: alice}, objectRef: {resource: secrets, namespace: shop, name: a}, responseStatus: {code: 200}, stageTimestamp: "2026-11-30T10:00:00Z"}
        - {verb: get, user: {username: alice}, objectRef: {resource: secrets, namespace: shop, name: a}, responseStatus: {code: 200}, stageTimestamp: "2026-11-30T10:00:01Z"}

    Sources: MITRE ATT&CK T1552.007.
    """
    if event.verb != "get" or event.code in (401, 404) or _is_quiet_reader(event):
        return None  # kubectl apply asks for each object that it is about to create
    most = _OF_PERSON if is_person(event.user) or uses_tool_of_person(event) else _OF_PROGRAM
    if not steps.reaches(account_of(event), f"{event.target.namespace}/{event.target.name}", event.when, most):
        return None
    return Observation(f"{who(event)} read {most} different Secrets within 5 minutes, {what(event)} the last")


@INDICATOR.detects("secret-changed", severity=Severity.LOW, technique="T1098.001", on=_ON, related=_RELATED)
def secret_changed(event: AuditEvent) -> Observation | None:
    """Someone creates, changes or deletes a Secret by hand.

    Changing a Secret changes what its readers trust; one of type `kubernetes.io/service-account-token` has the
    cluster write a token that never ends into it, which is medium. Controllers keep Secrets of their own in their
    namespaces, which is left out. In a namespace of the cluster it is medium.

    Fires:

        verb: delete
        user: {username: alice}
        objectRef: {resource: secrets, namespace: shop, name: db}
        responseStatus: {code: 200}

    Quiet:

        verb: update
        user: {username: "system:serviceaccount:cert-manager:cert-manager"}
        userAgent: cert-manager/v1
        objectRef: {resource: secrets, namespace: cert-manager, name: webhook-ca}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1098.001; Kubernetes documentation, Manually create a long-lived API token.
    """
    if event.verb not in ("create", "update", "patch", "delete", "deletecollection") or not event.went_on:
        return None
    if is_own(event.user) or is_helms(event):
        return None
    kind = (event.request_object or {}).get("type")
    if kind == "kubernetes.io/service-account-token":
        message = f"{who(event)} has a token that never ends written into {what(event)}"
        return Observation(message, Severity.MEDIUM)
    if str(kind or "").startswith("helm.sh/"):
        return None
    account, strange = service_account_of(event.user.username), is_system_space(event.target.namespace)
    if account is not None and not uses_tool_of_person(event) and not strange:
        return None
    return Observation(f"{who(event)} {event.verb}s {what(event)}", Severity.MEDIUM if strange else None)
