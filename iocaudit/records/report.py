"""The summaries as our custom resources: one AuditReport a namespace, and one ClusterAuditReport."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.core.moments import is_past, rfc3339
from iocaudit.core.shape import Json, mapping, text

NAME = "iocaudit"
REFRESH = timedelta(minutes=10)
"""How old ``lastSweep`` of the cluster's report may get before it is rewritten for its own sake."""


def report_body(namespace: str | None, content: Mapping[str, Any]) -> Json:
    """The resource that carries a report: namespaced where there is a namespace."""
    metadata = {"name": NAME} if namespace is None else {"name": NAME, "namespace": namespace}
    kind = "ClusterAuditReport" if namespace is None else "AuditReport"
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "report": dict(content)}


def report_write(namespace: str | None, content: Json, before: Mapping[str, Any] | None, now: datetime) -> Json | None:
    """The body to store; None where what is stored says the same.

    The time of the sweep alone does not change a namespace's report, or every sweep would write them all;
    the cluster's report is rewritten for its time's sake after ``REFRESH``.
    """
    if before is not None:
        known = dict(mapping(before.get("report")))
        since = text(known.pop("lastSweep", None))
        if known == content and not (namespace is None and is_past(since, REFRESH, now) is not False):
            return None
    body = report_body(namespace, {**content, "lastSweep": rfc3339(now)})
    version = text(mapping(mapping(before).get("metadata")).get("resourceVersion")) if before else ""
    if version:
        body["metadata"]["resourceVersion"] = version
    return body
