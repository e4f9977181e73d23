"""Indicator 7: anomalies of DNS. Of the audit log: a change of the resolver that every pod asks."""

from __future__ import annotations

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.accounts import is_own
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.wording import what, who

INDICATOR = Indicator(
    IoC.DNS_ANOMALY,
    "dns-anomalies",
    "Changes of the cluster's resolver; from metrics, names that do not exist, rare types of requests, long questions.",
    "The questions themselves: metrics of CoreDNS, or of a network plugin, have to report them.",
)
_RESOLVERS = frozenset(
    {
        "coredns",
        "coredns-custom",
        "kube-dns",
        "node-local-dns",
        "nodelocaldns",
        "kube-dns-autoscaler",
        "coredns-autoscaler",
    }
)


@INDICATOR.detects(
    "resolver-changed",
    severity=Severity.MEDIUM,
    technique="T1557",
    on=("configmaps",),
    related=("configmap-tampering",),
)
def resolver_changed(event: AuditEvent) -> Observation | None:
    """Someone changes the configuration of the cluster's DNS.

    Who writes it sends any pod's connections to any address, outside names and Services alike. It changes when a cluster
    is installed or upgraded, and by hand.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: configmaps, namespace: kube-system, name: coredns}
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: alice}
        objectRef: {resource: configmaps, namespace: kube-system, name: coredns}
        responseStatus: {code: 200}

    Sources: Microsoft threat matrix for Kubernetes, CoreDNS poisoning; MITRE ATT&CK T1557.
    """
    if event.verb not in ("create", "update", "patch", "delete") or not event.went_on or is_own(event.user):
        return None
    if event.target.namespace not in ("kube-system", "openshift-dns") or event.target.name not in _RESOLVERS:
        return None
    severity = Severity.LOW if event.verb == "create" else None
    return Observation(f"{who(event)} changes the cluster's resolver: {event.verb} {what(event)}", severity)
