"""Indicator 10: spikes of 403 and 404. Of the audit log: those of the API server, by account."""

from __future__ import annotations

from datetime import timedelta

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.accounts import is_anonymous, is_node_of_cloud, is_own, is_person, is_public
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.memory import Steps
from iocaudit.signals.wording import account_of, origin, what, who

INDICATOR = Indicator(
    IoC.HTTP_ERRORS,
    "http-errors",
    "Requests to the API server that are refused or find nothing, many at a time or for what leads further; from metrics, "
    "the share of 403 and 404 at gateways.",
    "Errors of applications: metrics of their gateways have to report them.",
)
_SENSITIVE = frozenset(
    {
        "secrets",
        "serviceaccounts/token",
        "pods/exec",
        "pods/attach",
        "pods/portforward",
        "pods/ephemeralcontainers",
        "nodes/proxy",
        "roles",
        "clusterroles",
        "rolebindings",
        "clusterrolebindings",
        "certificatesigningrequests/approval",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    }
)
_MOST_REFUSED, _MOST_MISSING = 15, 40
_RELATED = ("shared-service-account", "token-automounted", "anonymous-binding")


@INDICATOR.detects(
    "sensitive-request-refused",
    severity=Severity.LOW,
    technique="T1613",
    related=_RELATED,
)
def sensitive_request_refused(event: AuditEvent) -> Observation | None:
    """A request for what leads further was refused.

    Secrets, tokens, sessions, roles and bindings, the guards of the cluster: an account that asks without having the
    right is misconfigured, or in other hands.

    Fires:

        verb: list
        user: {username: "system:serviceaccount:shop:web"}
        objectRef: {resource: secrets, namespace: kube-system}
        responseStatus: {code: 403}

    Quiet:

        verb: list
        user: {username: "system:serviceaccount:shop:web"}
        objectRef: {resource: endpoints, namespace: shop}
        responseStatus: {code: 403}

    Sources: MITRE ATT&CK T1613, Container and Resource Discovery.
    """
    if not event.is_refused or is_own(event.user) or event.target.whole not in _SENSITIVE:
        return None
    return Observation(f"{who(event)} may not {event.verb} {what(event)} ({event.code or 403})")


@INDICATOR.detects("creation-refused", severity=Severity.LOW, technique="T1613", related=_RELATED)
def creation_refused(event: AuditEvent) -> Observation | None:
    """An account may not create what it asks for.

    Reads are refused by the thousand where a program lacks a right; a request to create something is one that someone
    meant. Reviews of tokens and of access are left out.

    Fires:

        verb: create
        user: {username: "system:serviceaccount:shop:web"}
        objectRef: {resource: pods, namespace: shop}
        responseStatus: {code: 403}
        annotations: {authorization.k8s.io/decision: forbid}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, namespace: shop}
        responseStatus: {code: 201}
        annotations: {authorization.k8s.io/decision: allow}

    Sources: MITRE ATT&CK T1613.
    """
    if event.verb != "create" or event.went_on or not event.is_refused or event.code == 401 or is_own(event.user):
        return None
    # Admission refuses with 403, too, but was asked only after the right was found.
    if event.annotations.get("authorization.k8s.io/decision") == "allow":
        return None
    if event.target.resource.endswith("reviews") or event.target.resource == "events":
        return None
    return Observation(f"{who(event)} may not create {what(event)}")


@INDICATOR.detects("refused-from-internet", severity=Severity.LOW, technique="T1595", related=_RELATED)
def refused_from_internet(event: AuditEvent) -> Observation | None:
    """A request from the Internet was refused.

    Either its account has no right to what it asks, or there is no such account. Administrators come from public
    addresses too, but are seldom refused.

    Fires:

        verb: list
        user: {username: alice}
        sourceIPs: [8.8.4.4]
        objectRef: {resource: pods, namespace: shop}
        responseStatus: {code: 403}

    Quiet:

        verb: list
        user: {username: alice}
        sourceIPs: [10.0.27.115]
        objectRef: {resource: pods, namespace: shop}
        responseStatus: {code: 403}

    Sources: MITRE ATT&CK T1595, Active Scanning.
    """
    if not event.is_refused or not is_public(event.source_ip) or is_anonymous(event.user):
        return None
    if is_node_of_cloud(event.user):
        return None
    return Observation(f"{who(event)}{origin(event)} may not {event.verb} {what(event)} ({event.code or 403})")


@INDICATOR.detects(
    "refusals-in-burst",
    severity=Severity.MEDIUM,
    technique="T1613",
    related=_RELATED,
    window=timedelta(minutes=5),
)
def refusals_in_burst(event: AuditEvent, steps: Steps) -> Observation | None:
    """One account is refused again and again, each time for something else.

    Fifteen different requests that were refused within five minutes: someone tries what a credential is good for. A
    program that lacks a right asks for the same thing, however often. Requests without a valid credential count one by
    one and are low: someone guesses, or a program goes on with one that has expired.

    Fires:

        - {verb: list, user: {username: eve}, objectRef: {resource: pods}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:01Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: nodes}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:02Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: secrets}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:03Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: services}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:04Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: configmaps}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:05Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: events}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:06Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: namespaces}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:07Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: serviceaccounts}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:08Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: endpoints}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:09Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: deployments, apiGroup: apps}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:10Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: daemonsets, apiGroup: apps}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:11Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: jobs, apiGroup: batch}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:12Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: cronjobs, apiGroup: batch}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:13Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: roles, apiGroup: rbac.authorization.k8s.io}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:14Z"}
        - {verb: list, user: {username: eve}, objectRef: {resource: ingresses, apiGroup: networking.k8s.io}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:15Z"}

    Quiet:

        - {verb: list, user: {username: "system:serviceaccount:shop:web"}, objectRef: {resource: endpoints}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:01Z"}
        - {verb: list, user: {username: "system:serviceaccount:shop:web"}, objectRef: {resource: endpoints}, responseStatus: {code: 403}, stageTimestamp: "2026-11-30T10:00:02Z"}

    Sources: MITRE ATT&CK T1613; the mission's indicator 10.
    """
    if not event.is_refused or is_own(event.user):
        return None
    target = event.target
    item = (
        f"{event.verb} {target.group}/{target.whole} {target.namespace}/{target.name}" if target.resource else event.uri
    )
    if event.code == 401:
        item = event.audit_id or f"{event.when}"
    if not steps.reaches(account_of(event), item, event.when, _MOST_REFUSED):
        return None
    severity = Severity.LOW if event.code == 401 else None
    return Observation(
        f"{who(event)}{origin(event)} was refused {_MOST_REFUSED} different requests within 5 minutes, {what(event)} the last",
        severity,
    )


@INDICATOR.detects(
    "misses-in-burst",
    severity=Severity.MEDIUM,
    technique="T1595.003",
    related=("anonymous-binding",),
    window=timedelta(minutes=5),
)
def misses_in_burst(event: AuditEvent, steps: Steps) -> Observation | None:
    """One account asks for many things that are not there.

    Forty different paths or objects that were not found within five minutes: someone guesses names. What the cluster
    itself looks for is left out. Of a person it is low: an installation asks for each object before it creates it.

    Fires:

        many: 40
        verb: get
        user: {username: eve}
        objectRef: {resource: pods, namespace: shop, name: "web-%d"}
        responseStatus: {code: 404}
        stageTimestamp: "2026-11-30T10:00:00Z"

    Quiet:

        many: 40
        verb: get
        user: {username: eve}
        objectRef: {resource: pods, namespace: shop, name: "web"}
        responseStatus: {code: 404}
        stageTimestamp: "2026-11-30T10:00:00Z"

    Sources: MITRE ATT&CK T1595.003, Wordlist Scanning; the mission's indicator 10.
    """
    if event.code != 404 or is_own(event.user) or event.verb not in ("get", "list", ""):
        return None
    target = event.target
    item = f"{target.group}/{target.whole} {target.namespace}/{target.name}" if target.resource else event.uri
    if not steps.reaches(account_of(event), item, event.when, _MOST_MISSING):
        return None
    message = (
        f"{who(event)}{origin(event)} asked for {_MOST_MISSING} different things that are not there within 5 minutes"
    )
    return Observation(message, Severity.LOW if is_person(event.user) else None)
