"""Bodies that senders post, a file of senders, and the parts of receivers put together in one process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from iocaudit.incidents.evidence_store import EvidenceStore
from iocaudit.receivers.incident_desk import IncidentDesk
from iocaudit.receivers.incident_outbox import IncidentOutbox
from iocaudit.receivers.journal import Journal
from iocaudit.receivers.metrics import SignalMetrics
from iocaudit.receivers.outbox import Outbox
from iocaudit.receivers.pod_index import PodIndex
from iocaudit.receivers.reader import SignalReader
from iocaudit.receivers.senders import Sender
from iocaudit.signals.signal import SignalSource
from tests.support.audit_events import Json, event

CONTAINER = "0123456789ab" + "c" * 52
TOKEN = "a-token-of-enough-characters"


def exec_event(number: int = 1, namespace: str = "shop", user: str = "mallory") -> Json:
    """Someone opens a shell in a pod."""
    return event(
        number,
        verb="create",
        user={"username": user, "groups": ["system:authenticated"]},
        requestURI=f"/api/v1/namespaces/{namespace}/pods/web-1/exec?command=bash&container=app&stdin=true&tty=true",
        objectRef={
            "resource": "pods",
            "namespace": namespace,
            "name": "web-1",
            "apiVersion": "v1",
            "subresource": "exec",
        },
        responseStatus={"metadata": {}, "code": 101},
        requestObject=None,
        responseObject=None,
    )


def event_list(*events: Json) -> bytes:
    """As the audit webhook backend posts events."""
    return json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": events}).encode()


def falco_alert(container: str = CONTAINER[:12], node: str = "node-1", **given: Any) -> Json:
    """A shell in a container, as Falco's http_output posts it."""
    return {
        "hostname": node,
        "output": "A shell was spawned in a container",
        "priority": "Notice",
        "rule": "Terminal shell in container",
        "source": "syscall",
        "tags": ["container", "shell"],
        "time": "2026-11-30T10:00:00.123456789Z",
        "output_fields": {
            "container.id": container,
            "proc.name": "bash",
            "k8s.ns.name": "victim",
            "k8s.pod.name": "blamed",
        },
    } | given


def alert_message(namespace: str = "shop", **labels: str) -> Json:
    """An alert of indicator 1, as Alertmanager posts it."""
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "status": "firing",
        "receiver": "iocaudit",
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": "firing",
                "labels": {
                    "alertname": "CPUThrottlingHigh",
                    "iocaudit_indicator": "1",
                    "severity": "warning",
                    "namespace": namespace,
                    "workload": "web",
                    "workload_type": "deployment",
                    **labels,
                },
                "startsAt": "2026-11-30T10:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": f"abc-{namespace}",
            }
        ],
    }


def pod_object(name: str = "web-5d9c7b8f6-x2x4z", namespace: str = "shop", container: str = CONTAINER) -> Json:
    """A running pod of the Deployment ``web`` on node-1, as the API server has it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": "web", "pod-template-hash": "5d9c7b8f6"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9c7b8f6", "uid": "u", "controller": True}
            ],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "hooli.com/web"}]},
        "status": {"containerStatuses": [{"name": "app", "containerID": f"containerd://{container}"}]},
    }


def sender(name: str = "api", *namespaces: str, source: SignalSource = SignalSource.AUDIT) -> Sender:
    return Sender(name, frozenset({source}), name, None, namespaces)


def write_senders(folder: Path) -> Path:
    """A file of three senders: the API server by certificate, Falco and a team's Alertmanager by token."""
    (folder / "falco.token").write_text(TOKEN)
    (folder / "alerts.token").write_text(TOKEN + "-of-shop")
    path = folder / "senders.yaml"
    path.write_text(
        "senders:\n"
        "- {name: api-server, sources: [audit], certificate: system:apiserver-audit}\n"
        "- {name: falco, sources: [falco], tokenFile: falco.token}\n"
        "- {name: shop-alerts, sources: [alertmanager], tokenFile: alerts.token, namespaces: [shop, shop-*]}\n"
    )
    return path


class NoObjects:
    """Judges no object."""

    def take(self, _signal: object) -> tuple[()]:
        return ()


class Parts:
    """A journal with what reads it; ``read_all`` reads what is there, once."""

    def __init__(self, folder: Path, *senders: Sender, most_bytes: int = 1 << 26) -> None:
        self.journal = Journal(folder, most_bytes=most_bytes)
        self.outbox = Outbox(self.journal, "host")
        self.pods = PodIndex()
        self.metrics = SignalMetrics(CollectorRegistry())
        self._senders = {one.name: one for one in senders}
        self.incidents = IncidentOutbox("host")
        self.evidence = EvidenceStore(folder)
        self.desk = IncidentDesk(self.journal, self.incidents, self.metrics, self.evidence)
        self.reader = SignalReader(
            self.journal,
            self.outbox,
            lambda: self,  # type: ignore[arg-type, return-value]
            self.pods,
            self.metrics,
            NoObjects(),
            self.desk,
        )

    def __iter__(self) -> Iterator[Sender]:
        return iter(self._senders.values())

    def named(self, name: str) -> Sender | None:
        return self._senders.get(name)

    def read_all(self) -> None:
        for batch in self.journal.after(self.reader.read, 1 << 30):
            self.reader._take(batch)
            self.reader.read = batch.id

    def close(self) -> None:
        self.journal.close()
        self.evidence.close()
