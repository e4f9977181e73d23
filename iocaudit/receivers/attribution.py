"""What a sighting counts as: the workload that it is about, where its sender proved that it may say so.

- The audit log and Alertmanager: the namespaces that the sender's credential is bound to.
- Falco: the container's id stands in the status of a pod, and the alert comes from that pod's node. What the alert
  says of namespace and pod is not asked.

What is not proven is counted under the sender's own name and linked to nothing: a forged signal blames nobody.
"""

from __future__ import annotations

from typing import NamedTuple

from iocaudit.core.identity import BOUNDS, bounded
from iocaudit.core.kinds import KINDS
from iocaudit.evidence.key import RUNTIME, EvidenceKey
from iocaudit.receivers.pod_index import PodEntry, PodIndex
from iocaudit.receivers.senders import Sender
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import Locus, Signal, SignalSource

SENDER_KIND, USER_KIND = "Sender", "User"
_GROUPS = {name: group for group, name in sorted(KINDS, reverse=True)}
"""Of a kind that is named without its group, the group that Kubernetes serves it in."""


class Attribution(NamedTuple):
    """``key`` is what it counts as; ``reason`` says why it was not attributed, empty where it was."""

    key: EvidenceKey
    reason: str = ""


def attribute(sighting: Sighting, sender: Sender, pods: PodIndex) -> Attribution:
    """What a sighting of a sender's signal counts as."""
    signal = sighting.signal
    pod = _pod(signal, pods)
    if signal.source is SignalSource.FALCO and not _is_of_audit_log(signal, sender):
        if pod is None:
            return _unattributed(sighting, sender, _why_no_pod(signal.locus, pods))
        if not _is_node(signal.locus.node, pod.node):
            return _unattributed(
                sighting, sender, f"it comes from node {signal.locus.node!r}, not from that of the pod"
            )
        return Attribution(_of_pod(sighting, pod, ""))
    if not sender.may_name(signal.locus.namespace):
        where = f"namespace {signal.locus.namespace}" if signal.locus.namespace else "the whole cluster"
        return _unattributed(sighting, sender, f"{sender.name} does not speak for {where}")
    user = signal.account.username
    if pod is not None:
        return Attribution(_of_pod(sighting, pod, user))
    return Attribution(_of_locus(sighting, user))


def _is_of_audit_log(signal: Signal, sender: Sender) -> bool:
    """Falco's plugin for the audit log has no container: its sender's namespaces count, as the API server's do."""
    return not signal.locus.container_id and bool(sender.namespaces) and bool(signal.account.ip)


def _pod(signal: Signal, pods: PodIndex) -> PodEntry | None:
    if signal.source is SignalSource.FALCO:
        return pods.by_container(signal.locus.container_id)
    return pods.by_name(signal.locus.namespace, signal.locus.pod) if signal.locus.pod else None


def _why_no_pod(locus: Locus, pods: PodIndex) -> str:
    if not locus.container_id:
        return "it names no container"
    return pods.lacking or "no pod has that container"


def _is_node(claimed: str, node: str) -> bool:
    """Whether a hostname is that of a node: nodes may be called by their whole name, hosts by its first part."""
    return bool(node) and claimed.partition(".")[0].lower() == node.partition(".")[0].lower()


def _of_pod(sighting: Sighting, pod: PodEntry, user: str) -> EvidenceKey:
    return _key(sighting, pod.workload.group, pod.workload.kind, pod.namespace, pod.workload.name, user)


def _of_locus(sighting: Sighting, user: str) -> EvidenceKey:
    locus = sighting.signal.locus
    namespace = locus.namespace or None
    if locus.pod:
        return _key(sighting, "", "Pod", namespace, locus.pod, user)
    kind, _, name = locus.workload.partition("/")
    if kind:
        report = sighting.signal.report
        group = report.target.group if isinstance(report, AuditEvent) else _GROUPS.get(kind, "")
        return _key(sighting, group, kind, namespace, name, user)
    if locus.node:
        return _key(sighting, "", "Node", None, locus.node, user)
    return _key(sighting, "", USER_KIND, None, user, user)


def _unattributed(sighting: Sighting, sender: Sender, reason: str) -> Attribution:
    return Attribution(_key(sighting, "", SENDER_KIND, None, sender.name, ""), reason)


def _key(sighting: Sighting, group: str, kind: str, namespace: str | None, name: str, user: str) -> EvidenceKey:
    return EvidenceKey(
        sighting.rule,
        bounded(group, BOUNDS["group"]),
        bounded(kind, BOUNDS["kind"]),
        None if namespace is None else bounded(namespace, BOUNDS["namespace"]),
        bounded(name, BOUNDS["name"]),
        bounded(user, BOUNDS["user"]),
        RUNTIME,
    )
