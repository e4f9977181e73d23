"""The posture findings behind an incident: of the checks that its signals name, where it happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from iocaudit.cluster.api import Api, ListScope
from iocaudit.cluster.errors import NotFoundError
from iocaudit.core.shape import mapping, text
from iocaudit.records.finding import CHECK_LABEL, OPEN, POSTURE, STATE_LABEL, WAIVED
from iocaudit.records.incident import IncidentRecord, IncidentWeakness
from iocaudit.records.kinds import CLUSTER_IOC_FINDING, IOC_FINDING

MOST_NAMESPACES: Final = 8
"""Namespaces of an incident that are asked; it names more only where it goes across the cluster."""


class StoredWeaknesses:
    """Asks the API server for findings by their labels: an incident is written rarely."""

    def __init__(self, client: Api) -> None:
        self._client = client

    def of(self, record: IncidentRecord) -> list[IncidentWeakness]:
        """Those that are open or waived. Raises ClusterError."""
        if not record.related:
            return []
        places = [place for place in map(_place, record.targets) if place is not None]
        namespaces = list(dict.fromkeys(namespace for namespace, _ in places if namespace))
        labels = f"{CHECK_LABEL} in ({','.join(record.related)}),{STATE_LABEL} in ({OPEN},{WAIVED})"
        return [
            weakness
            for scope in (None, *namespaces[:MOST_NAMESPACES])
            for weakness in self._found(scope, labels, set(places))
        ]

    def _found(self, namespace: str | None, labels: str, places: set[tuple[str, str]]) -> Iterator[IncidentWeakness]:
        kind = CLUSTER_IOC_FINDING if namespace is None else IOC_FINDING
        try:
            bodies, _ = self._client.list_all(kind, scope=ListScope(namespace, labels))
        except NotFoundError:
            return
        for body in bodies:
            finding: Any = mapping(body.get("finding"))
            # The labels are asked again of the content, which they are written from.
            if finding.get("type") == POSTURE and finding.get("state") in (OPEN, WAIVED):
                target = text(finding.get("target"))
                yield IncidentWeakness(
                    namespace or "",
                    text(mapping(body.get("metadata")).get("name")),
                    text(finding.get("check")),
                    text(finding.get("severity")),
                    target,
                    text(finding.get("state")),
                    (namespace or "", target) in places,
                )


def _place(target: str) -> tuple[str, str] | None:
    """``namespace/Kind/name`` or ``Kind/name`` as namespace (empty for cluster scope) and ``Kind/name``."""
    parts = target.split("/", 2)
    if len(parts) == 3:
        return parts[0], f"{parts[1]}/{parts[2]}"
    return ("", target) if len(parts) == 2 else None
