"""An alert of Prometheus, as Alertmanager's webhook (version 4) hands it on.

Unknown keys are passed over; every field may be absent or of a wrong type, and reads as absent then.
Source: prometheus/alertmanager, notify/webhook and template/template.go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from iocaudit.core.shape import Json, integer, mappings, text
from iocaudit.signals.audit_event import LinePlace, moment, texts

FIRING, RESOLVED = "firing", "resolved"
_WORKLOADS = (
    ("deployment", "Deployment"),
    ("daemonset", "DaemonSet"),
    ("statefulset", "StatefulSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
    ("ingress", "Ingress"),
    ("service", "Service"),
)


@dataclass(frozen=True, slots=True)
class MetricAlert:
    """One alert of a group. ``starts_at`` is as Alertmanager wrote it; ``value`` what its annotations say.

    ``truncated`` is how many alerts of the same group Alertmanager left out of the message.
    """

    place: LinePlace
    fingerprint: str
    status: str
    starts_at: str
    ends_at: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    truncated: int

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def is_firing(self) -> bool:
        return self.status != RESOLVED

    @property
    def when(self) -> datetime | None:
        """When it began, or of one that is over, when it ended."""
        return moment(self.starts_at) if self.is_firing else moment(self.ends_at) or moment(self.starts_at)

    @property
    def workload(self) -> str:
        """``Kind/name`` of what its labels name, the most telling first; empty where they name none."""
        named = (self.labels.get("workload_type", ""), self.labels.get("workload", ""))
        if all(named):
            return f"{_kind(named[0])}/{named[1]}"
        owner = (self.labels.get("owner_kind", ""), self.labels.get("owner_name", ""))
        if all(owner):
            return f"{owner[0]}/{owner[1]}"
        return next((f"{kind}/{self.labels[label]}" for label, kind in _WORKLOADS if self.labels.get(label)), "")


def _kind(word: str) -> str:
    """The kind in its own spelling: recording rules of the Kubernetes mixin write it in lower case."""
    known = {kind.lower(): kind for _, kind in _WORKLOADS} | {"replicaset": "ReplicaSet", "job": "Job"}
    return known.get(word.lower(), word)


def is_alertmanager(raw: Mapping[str, object]) -> bool:
    """Whether this is a message of Alertmanager's webhook."""
    return isinstance(raw.get("alerts"), list) and ("groupKey" in raw or "receiver" in raw or "commonLabels" in raw)


def read_alerts(raw: Json, place: LinePlace) -> Iterator[MetricAlert]:
    """The alerts of a message, each by itself: one that cannot be read does not cost its neighbours."""
    truncated = max(integer(raw.get("truncatedAlerts")) or 0, 0)
    common, shared = texts(raw.get("commonLabels")), texts(raw.get("commonAnnotations"))
    for one in mappings(raw.get("alerts")):
        labels = common | texts(one.get("labels"))
        status = text(one.get("status")) or text(raw.get("status"))
        yield MetricAlert(
            place=place,
            fingerprint=text(one.get("fingerprint")) or _fingerprint(labels),
            status=RESOLVED if status.lower() == RESOLVED else FIRING,
            starts_at=text(one.get("startsAt")),
            ends_at=text(one.get("endsAt")),
            labels=labels,
            annotations=shared | texts(one.get("annotations")),
            truncated=truncated,
        )


def _fingerprint(labels: Mapping[str, str]) -> str:
    """An identity of the labels, where Alertmanager's is absent."""
    digest = hashlib.sha256()
    for pair in sorted(labels.items()):
        for part in pair:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]
