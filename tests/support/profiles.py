"""Profiles, and reports of activity that they are asked about."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from iocaudit.signals.profiles.profile import ProfileSet
from iocaudit.signals.profiles.reader import read_profile
from tests.support.audit_events import Json, event

IMAGE = "registry.example.com/shop/web"
WEB = "system:serviceaccount:shop:web"
SPEC: Json = {
    "mode": "enforce",
    "processes": [{"image": IMAGE, "executables": ["/usr/sbin/nginx", "/opt/app/**"]}],
    "destinations": [{"to": ["10.0.0.0/8", "*.example.com"], "ports": [443, "5432-5433"]}],
    "accounts": [{"account": WEB, "rules": [{"verbs": ["get", "list"], "resources": ["configmaps", "pods"]}]}],
}


def profile_object(namespace: str = "shop", name: str = "web", **spec: Any) -> Json:
    """An ActivityProfile as it is written."""
    metadata = {"name": name, "namespace": namespace}
    body = copy.deepcopy({**SPEC, **spec})
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "ActivityProfile",
        "metadata": metadata,
        "spec": {key: value for key, value in body.items() if value is not None},
    }


def profiles_of(*objects: Json) -> ProfileSet:
    return ProfileSet(map(read_profile, objects))


def program_alert(
    path: str, fields: Json | None = None, *, namespace: str = "shop", image: str = IMAGE, second: int = 0
) -> Json:
    """A program runs, as Falco reports it by a rule of the team's own."""
    return {
        "hostname": "node-1",
        "output": "A program runs",
        "priority": "Notice",
        "rule": "A program runs",
        "source": "syscall",
        "time": f"2026-11-30T10:00:{second:02}.000000000Z",
        "output_fields": {
            "k8s.ns.name": namespace,
            "k8s.pod.name": "web-1",
            "container.image.repository": image,
            "proc.exepath": path,
            **(fields or {}),
        },
    }


def request_event(
    number: int, verb: str = "get", resource: str = "configmaps", user: str = WEB, code: int = 200, **more: Any
) -> Json:
    """A request about an object in ``shop``."""
    target = {"resource": resource, "namespace": "shop", "name": "x", "apiVersion": "v1", **more}
    base = {"verb": verb, "objectRef": target, "responseStatus": {"code": code}, "user": {"username": user}}
    return event(number, requestObject=None, responseObject=None, **base)


def write_log(path: Path, *reports: Json) -> str:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in reports), encoding="utf-8")
    return str(path)
