"""A signal: one thing that a sender reported, in the same shape from every sender.

What was done stands in ``report``, as its sender tells it; where, who and when are read out of it once, so detections
and what links signals to workloads need not know the sender's format.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from iocaudit.core.request import service_account_of
from iocaudit.core.shape import lookup, text
from iocaudit.signals.alerts import MetricAlert
from iocaudit.signals.audit_event import AuditEvent, LinePlace
from iocaudit.signals.falco import FalcoAlert


class SignalSource(StrEnum):
    """Who reports."""

    AUDIT = "audit"
    FALCO = "falco"
    ALERTMANAGER = "alertmanager"


class Locus(NamedTuple):
    """Where it happened, as far as the sender says; each is empty where it does not.

    ``container_id`` is the runtime's, perhaps cut; ``workload`` is ``Kind/name`` of what is not a pod.
    """

    namespace: str = ""
    pod: str = ""
    container: str = ""
    container_id: str = ""
    node: str = ""
    ip: str = ""
    workload: str = ""

    @property
    def target(self) -> str:
        """What a person would call it: ``Pod/web``, a workload, a node; empty where nothing is known."""
        if self.pod:
            return f"Pod/{self.pod}"
        return self.workload or (f"Node/{self.node}" if self.node else "")


class Account(NamedTuple):
    """Who did it: the authenticated user, in whose name, from where. Names are empty where they are not known."""

    username: str = ""
    impersonated: str = ""
    ip: str = ""

    @property
    def is_service_account(self) -> bool:
        return service_account_of(self.username) is not None


SignalReport = AuditEvent | FalcoAlert | MetricAlert


@dataclass(frozen=True, slots=True)
class Signal:
    """One report. ``identity`` is the sender's own identity of it: the same again is the same signal."""

    source: SignalSource
    identity: str
    when: datetime | None
    locus: Locus
    account: Account
    report: SignalReport

    @property
    def place(self) -> LinePlace:
        """Where it stands in what was read."""
        return self.report.place


def signal_of(report: SignalReport) -> Signal:
    """The signal that a report is."""
    if isinstance(report, AuditEvent):
        return Signal(
            SignalSource.AUDIT,
            _identity(report.audit_id, report.stage, report.received, report.user.username),
            report.when,
            _locus(report),
            Account(
                report.user.username,
                report.impersonated.username if report.impersonated is not None else "",
                report.source_ip,
            ),
            report,
        )
    if isinstance(report, FalcoAlert):
        locus = Locus(
            report.field("k8s.ns.name"),
            report.field("k8s.pod.name"),
            report.field("container.name"),
            report.field("container.id"),
            report.hostname,
        )
        account = Account(report.field("ka.user.name") or report.field("user.name"), "", report.field("ka.sourceips"))
        return Signal(SignalSource.FALCO, report.identity, report.when, locus, account, report)
    labels = report.labels
    locus = Locus(
        labels.get("namespace", ""),
        labels.get("pod", ""),
        labels.get("container", ""),
        "",
        labels.get("node", ""),
        "",
        report.workload,
    )
    return Signal(
        SignalSource.ALERTMANAGER,
        _identity(report.fingerprint, report.starts_at, report.status),
        report.when,
        locus,
        Account(labels.get("user", "")),
        report,
    )


def _identity(*parts: object) -> str:
    """A digest of the parts, each by itself: no part can imitate the end of another."""
    digest = hashlib.sha256()
    for part in parts:
        data = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:32]


_NAMED_KINDS = {
    "deployments": "Deployment",
    "daemonsets": "DaemonSet",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "jobs": "Job",
    "cronjobs": "CronJob",
    "secrets": "Secret",
    "configmaps": "ConfigMap",
    "serviceaccounts": "ServiceAccount",
    "services": "Service",
    "nodes": "Node",
    "namespaces": "Namespace",
    "roles": "Role",
    "clusterroles": "ClusterRole",
    "rolebindings": "RoleBinding",
    "clusterrolebindings": "ClusterRoleBinding",
}


def _locus(event: AuditEvent) -> Locus:
    """The object of a request; one that the server named stands in its answer."""
    target = event.target
    name = target.name or text(lookup(event.response_object, "metadata", "name"))
    name = name or text(lookup(event.request_object, "metadata", "name"))
    if target.resource == "pods" and not target.group:
        return Locus(target.namespace, name)
    if target.resource == "nodes" and not target.group:
        return Locus("", node=name)
    kind = _NAMED_KINDS.get(target.resource, target.resource)
    return Locus(target.namespace, workload=f"{kind}/{name}" if name else kind)
