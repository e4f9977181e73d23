"""Audit events as the API server writes them, in every wrapper that is read."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]


def event(number: int = 1, **given: Any) -> Json:
    """A create of a pod at level RequestResponse; ``given`` takes the place of its fields, None leaves one out."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"web-{number}", "namespace": "shop", "uid": f"u-{number}"},
        "spec": {"containers": [{"name": "app", "image": "hooli.com/shop/web:1.4"}]},
    }
    found: Json = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": f"id-{number}",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods?fieldManager=kubectl",
        "verb": "create",
        "user": {"username": "alice", "groups": ["devs", "system:authenticated"]},
        "sourceIPs": ["10.0.0.1"],
        "userAgent": "kubectl/v1.36",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": f"web-{number}", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": pod,
        "responseObject": pod,
        "requestReceivedTimestamp": f"2026-11-30T10:00:{number % 60:02}.000000Z",
        "stageTimestamp": f"2026-11-30T10:00:{number % 60:02}.500000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    } | given
    return {name: value for name, value in found.items() if value is not None}


def line(value: Any) -> bytes:
    """As the API server writes it: without spaces."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def wrapped(found: Json) -> dict[str, bytes]:
    """One event in each wrapper but GKE's, which says other things; by a name for it."""
    text = json.dumps(found, separators=(",", ":"))
    record = {"category": "kube-audit", "properties": {"log": text, "stream": "stdout"}}
    return {
        "list": line({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [found]}),
        "cloudwatch": line({"logStreamName": "kube-apiserver-audit-1", "timestamp": 1, "message": text}),
        "filtered": line({"events": [{"timestamp": 1, "message": text}], "searchedLogStreams": []}),
        "subscribed": line({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": text}]}),
        "exported": b"2026-11-30T10:00:00.000Z " + line(found),
        "aks text": line(record),
        "aks object": line({"category": "kube-audit", "properties": {"log": found}}),
        "aks hub": line({"records": [record]}),
        "collected": line({"log": text, "stream": "stdout", "time": "2026-11-30T10:00:00Z"}),
        "enriched": line({**found, "p_log_type": "Amazon.EKS.Audit"}),
        "pretty": json.dumps({"events": [{"message": text}]}, indent=2).encode(),
        "listed": json.dumps([found], indent=1).encode(),
    }


def gke(found: Json, *, principal: str = "alice") -> Json:
    """What Google makes of the event of a write."""
    ref = found["objectRef"]
    path = f"core/v1/namespaces/{ref['namespace']}/{ref['resource']}/{ref['name']}"
    return {
        "insertId": "x",
        "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "operation": {"first": True, "id": found["auditID"], "last": True, "producer": "k8s.io"},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": principal},
            "methodName": f"io.k8s.core.v1.{ref['resource']}.{found['verb']}",
            "request": {"@type": "core.k8s.io/v1.Pod", **found["requestObject"]},
            "requestMetadata": {"callerIp": "10.0.0.1", "callerSuppliedUserAgent": "kubectl/v1.36"},
            "resourceName": path,
            "response": {"@type": "core.k8s.io/v1.Pod", **found["responseObject"]},
            "serviceName": "k8s.io",
            "status": {},
        },
        "timestamp": found["stageTimestamp"],
    }
