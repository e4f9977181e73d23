"""An event of the API server's audit log, read as the request it records.

The log's own door is another thing; here the object and the request of an event are put before the checks, as the
webhook would have seen them. Source: the API reference of audit.k8s.io Event and of AdmissionReview.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from iocaudit.sources.admission_review import API_VERSION, Review, read_review

_OPERATIONS = {"create": "CREATE", "update": "UPDATE", "patch": "UPDATE"}
_OPTIONS = {"exec": "PodExecOptions", "attach": "PodAttachOptions", "portforward": "PodPortForwardOptions"}


def reviews_of(log: str) -> Iterator[Review]:
    """What was asked, event by event; nothing where one records no object to look at: a read, a deletion."""
    for line in log.splitlines():
        body = _body(json.loads(line)) if line.strip() else None
        if body is not None:
            yield read_review(json.dumps(body).encode())


def _body(event: dict[str, Any]) -> dict[str, Any] | None:
    place = event["objectRef"]
    subresource = place.get("subresource", "")
    group, version = place.get("apiGroup", ""), place["apiVersion"]
    if subresource in _OPTIONS:
        operation = "CONNECT"
        found = parse_qs(urlsplit(event["requestURI"]).query)
        asked = {
            name: given if name == "command" else given[-1] == "true" or given[-1] for name, given in found.items()
        }
        asked |= {"kind": _OPTIONS[subresource], "apiVersion": "v1"}
    else:
        if event["verb"] not in _OPERATIONS or not isinstance(event.get("requestObject"), dict):
            return None
        operation, asked = _OPERATIONS[event["verb"]], event["requestObject"]
    return {
        "apiVersion": API_VERSION,
        "kind": "AdmissionReview",
        "request": {
            "uid": event["auditID"],
            "operation": operation,
            "kind": {"group": group, "version": version, "kind": asked.get("kind", "")},
            "resource": {"group": group, "version": version, "resource": place["resource"]},
            "subResource": subresource,
            "namespace": place.get("namespace", ""),
            "name": place.get("name", ""),
            "userInfo": event["user"],
            "object": asked,
        },
    }
