"""Shows each signal to the detections that it can concern."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from iocaudit.core.shape import text
from iocaudit.knowledge.credentials.credential import redacted
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.indicators.declaration import Detection, Observation
from iocaudit.signals.memory import Memory
from iocaudit.signals.profiles.profile import ProfileSet
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import Signal, SignalSource

_RBAC = "rbac.authorization.k8s.io"
_GROUPS = {
    "roles": _RBAC,
    "clusterroles": _RBAC,
    "rolebindings": _RBAC,
    "clusterrolebindings": _RBAC,
    "deployments": "apps",
    "daemonsets": "apps",
    "statefulsets": "apps",
    "replicasets": "apps",
    "jobs": "batch",
    "cronjobs": "batch",
    "selfsubjectaccessreviews": "authorization.k8s.io",
    "selfsubjectrulesreviews": "authorization.k8s.io",
    "certificatesigningrequests": "certificates.k8s.io",
    "validatingwebhookconfigurations": "admissionregistration.k8s.io",
    "mutatingwebhookconfigurations": "admissionregistration.k8s.io",
    "validatingadmissionpolicies": "admissionregistration.k8s.io",
    "validatingadmissionpolicybindings": "admissionregistration.k8s.io",
    "mutatingadmissionpolicies": "admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings": "admissionregistration.k8s.io",
    "apiservices": "apiregistration.k8s.io",
    "networkpolicies": "networking.k8s.io",
    "ciliumnetworkpolicies": "cilium.io",
    "ciliumclusterwidenetworkpolicies": "cilium.io",
    "adminnetworkpolicies": "policy.networking.k8s.io",
    "baselineadminnetworkpolicies": "policy.networking.k8s.io",
    "clusternetworkpolicies": "policy.networking.k8s.io",
    "customresourcedefinitions": "apiextensions.k8s.io",
    "storageclasses": "storage.k8s.io",
    "priorityclasses": "scheduling.k8s.io",
    "flowschemas": "flowcontrol.apiserver.k8s.io",
    "prioritylevelconfigurations": "flowcontrol.apiserver.k8s.io",
}
"""The group of a resource that is not of the core group. Resources of other groups share some of these names."""
_CALICO = ("crd.projectcalico.org", "projectcalico.org")
_ALSO = {
    "events": ("events.k8s.io",),
    "networkpolicies": _CALICO,
    "globalnetworkpolicies": _CALICO,
}

_Judge = Callable[..., Observation | None]


class DetectionFault(NamedTuple):
    """A detection that failed on a signal: a mistake of ours, which costs nothing else."""

    detection: str
    error: str


class Detector:
    """Takes signals in the order of time. ``memory`` may be one that was kept."""

    def __init__(
        self,
        memory: Memory | None = None,
        detections: Iterable[Detection] | None = None,
        profiles: ProfileSet | None = None,
    ) -> None:
        self.memory = memory if memory is not None else Memory()
        self.faults: list[DetectionFault] = []
        self._profiles = profiles
        self._always: dict[SignalSource, list[tuple[Detection, _Judge]]] = {source: [] for source in SignalSource}
        self._on: dict[str, list[tuple[Detection, _Judge]]] = {}
        for detection in all_detections() if detections is None else detections:
            if detection.asks_profiles and profiles is None:
                continue
            entry = (detection, self._judge_of(detection))
            if not detection.on:
                self._always[detection.feeds].append(entry)
            for resource in detection.on:
                self._on.setdefault(resource, []).append(entry)

    def _judge_of(self, detection: Detection) -> _Judge:
        if detection.asks_profiles:
            return lambda report: detection.judge(report, self._profiles)
        if detection.window is None:
            return detection.judge
        steps, judge = self.memory.of(detection.id, detection.window), detection.judge
        return lambda report: judge(report, steps)

    def take(self, signal: Signal) -> list[Sighting]:
        """What the signal shows, in the order of the indicators; never raises."""
        report, entries = signal.report, self._always[signal.source]
        if isinstance(report, AuditEvent):
            if report.is_dry_run or not report.is_answered:
                return []
            if _is_of_its_group(report):
                entries = [*entries, *self._on.get(report.target.whole, ())]
        found = []
        for detection, judge in entries:
            try:
                observation = judge(report)
            except Exception as error:  # noqa: BLE001  a detection's mistake must not cost the others' answers
                self._fault(detection, error)
                continue
            if observation is not None:
                found.append(_sighting(detection, observation, signal))
        return sorted(found, key=lambda one: (one.iocs, one.rule)) if len(found) > 1 else found

    def _fault(self, detection: Detection, error: Exception) -> None:
        if len(self.faults) < 100:
            self.faults.append(DetectionFault(detection.id, f"{type(error).__name__}: {text(str(error))}"))


def _sighting(detection: Detection, observation: Observation, signal: Signal) -> Sighting:
    return Sighting(
        rule=detection.id,
        title=detection.title,
        iocs=(detection.indicator,),
        severity=observation.severity or detection.severity,
        message=redacted(observation.message),
        signal=signal,
        technique=detection.technique,
        related=detection.related,
        is_sequence=detection.is_sequence,
    )


def _is_of_its_group(event: AuditEvent) -> bool:
    """Whether the resource is the one of that name in Kubernetes; logs that were shortened may leave its group out."""
    target = event.target
    return not target.group or target.group in (_GROUPS.get(target.resource, ""), *_ALSO.get(target.resource, ()))
