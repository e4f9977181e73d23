"""A policy judged over an audit log: CPU seconds and memory of the whole process, as a command that is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = tuple[str, str, str, str, str]
Json = dict[str, Any]
EVENTS = 1_000_000
_PODS = 3
"""Of a hundred events so many carry a pod."""
_NUMBER = "00000000"
_POLICY = """
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: guard}
spec: {preset: guard, match: {clusterScoped: true}}
"""
_OTHERS = (
    ("get", "leases", "coordination.k8s.io", ""),
    ("update", "leases", "coordination.k8s.io", ""),
    ("list", "pods", "", ""),
    ("watch", "configmaps", "", ""),
    ("get", "nodes", "", ""),
    ("create", "events", "", ""),
    ("patch", "pods", "", "status"),
    ("get", "secrets", "", ""),
    ("create", "subjectaccessreviews", "authorization.k8s.io", ""),
    ("update", "endpointslices", "discovery.k8s.io", ""),
)


def history_rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        policy, log = Path(scratch, "policy.yaml"), Path(scratch, "audit.log")
        policy.write_text(_POLICY)
        _write(log)
        load = [sys.executable, "-c", "import sys\nfor line in open(sys.argv[1], 'rb'): pass", str(log)]
        bare, _ = _cost(load)
        arguments = ["policy", "impact", "--policy", str(policy), "--audit-log", str(log)]
        seconds, mebibytes = _cost([sys.executable, "-m", "iocaudit.cli", *arguments])
    size = f"{EVENTS:,} events, {_PODS} % with a pod"
    yield (f"policy impact, {size}", f"{seconds:.1f} s", f"reading the lines {bare:.1f} s", "", "<= 60 s")
    yield (f"memory of policy impact, {size}", f"{mebibytes:.0f} MB", "", "", "<= 200 MB")


def _cost(command: list[str]) -> tuple[float, float]:
    """CPU seconds of one run, and the most memory (MB) that it had."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _write(path: Path) -> None:
    """Each event under a number of its own; of pods there are forty sorts."""
    pods = [_line(_created(sort)) for sort in range(40)]
    others = [_line(_other(*one)) for one in _OTHERS]
    with path.open("wb", buffering=1 << 20) as stream:
        for number in range(EVENTS):
            lines = pods if number % 100 < _PODS else others
            stream.write(lines[number % len(lines)].replace(_NUMBER.encode(), b"%08d" % number))


def _line(event: Json) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def _event(verb: str, user: str, ref: Json, **more: Any) -> Json:
    """As the API server writes it. The time of each is the same: their order is that of the file."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse" if more else "Metadata",
        "auditID": f"{_NUMBER}-0000-4000-8000-000000000000",
        "stage": "ResponseComplete",
        "requestURI": f"/api/v1/namespaces/{ref['namespace']}/{ref['resource']}?timeout=5s",
        "verb": verb,
        "user": {
            "username": user,
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=4fdb7c2e-4b3e-4d8e-a8de-6d5f3b8d4a2d"]},
        },
        "sourceIPs": ["10.0.1.23"],
        "userAgent": "kube-controller-manager/v1.36.2 (linux/amd64) kubernetes/abcdef0",
        "objectRef": ref,
        "responseStatus": {"metadata": {}, "code": 201 if more else 200},
        **more,
        "requestReceivedTimestamp": "2026-11-30T10:00:00.000000Z",
        "stageTimestamp": "2026-11-30T10:00:00.100000Z",
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": 'RBAC: allowed by ClusterRoleBinding "system:controller:deployment"',
        },
    }


def _other(verb: str, resource_: str, group: str, subresource: str) -> Json:
    ref = {"resource": resource_, "namespace": "kube-system", "name": f"x-{_NUMBER}"}
    ref |= {"apiGroup": group} if group else {}
    ref |= {"apiVersion": "v1"} | ({"subresource": subresource} if subresource else {})
    return _event(verb, "system:serviceaccount:kube-system:deployment-controller", ref)


def _created(sort: int) -> Json:
    name = f"web-{sort}-{_NUMBER}"
    ref = {"resource": "pods", "namespace": f"team-{sort % 10}", "name": name, "apiVersion": "v1"}
    pod = _pod(sort, name)
    return _event("create", f"user-{sort % 7}", ref, requestObject=pod, responseObject=pod)


def _pod(sort: int, name: str) -> Json:
    fields: Json = {f"f:{field}": {} for field in ("image", "name", "resources", "env", "ports", "volumeMounts")}
    metadata = {
        "name": name,
        "namespace": f"team-{sort % 10}",
        "uid": f"{_NUMBER}-1111-4000-8000-000000000000",
        "resourceVersion": "1",
        "labels": {"app": f"web-{sort}"},
        "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": fields}}] * 2,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [_container(sort, 0), _container(sort, 1)], "serviceAccountName": "default"},
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    }


def _container(sort: int, number: int) -> Json:
    secure = {"allowPrivilegeEscalation": False, "runAsNonRoot": True}
    return {
        "name": f"app-{number}",
        "image": f"registry.example.com/team/app-{sort}:1.{number}",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": f"NAME_{index}", "value": f"value-{index}"} for index in range(12)],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10},
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "securityContext": {"privileged": True} if sort == 39 else secure,
    }
