"""Requests as an audit log at level RequestResponse has them, and a history that judges them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.impact.asked import AskedRequests
from iocaudit.impact.history import History
from iocaudit.signals.audit_event import AuditEvent, LinePlace, read_event

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
ASKED = AskedRequests(CATALOGUE)
PLURALS = {
    "Pod": ("", "pods"),
    "Deployment": ("apps", "deployments"),
    "ReplicaSet": ("apps", "replicasets"),
    "Namespace": ("", "namespaces"),
}
REPLICASETS = "system:serviceaccount:kube-system:replicaset-controller"
DEPLOYMENTS = "system:serviceaccount:kube-system:deployment-controller"


def policy(*checks: str, **spec: Any) -> Json:
    rules = [{"profiles": ["default", "strict"], "mode": "audit"}, {"ids": list(checks), "mode": "deny"}]
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "tried"},
        "spec": {"checks": rules, **spec},
    }


def history(*policies: Json, catalogue: Catalogue = CATALOGUE, **options: Any) -> History:
    found: PolicySet = read_policies(policies or [policy("privileged-container", "host-pid")], catalogue)
    return History(Auditor(catalogue, found, World()), ASKED, **options)


def pod_spec(*, privileged: bool = False, image: str = "hooli.com/web:1", **spec: Any) -> Json:
    container: Json = {"name": "app", "image": image}
    if privileged:
        container["securityContext"] = {"privileged": True}
    return {"containers": [container], **spec}


def thing(kind: str, name: str, spec: Json, *, uid: str = "", owner: Json | None = None, **more: Any) -> Json:
    group, _ = PLURALS[kind]
    metadata: Json = {"name": name, "namespace": "shop", "uid": uid or f"{kind}-{name}", "generation": 1}
    if owner is not None:
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
        metadata["ownerReferences"] = [
            {**reference, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        ]
        metadata["labels"] = {"app": "web"}
    return {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": metadata, "spec": spec, **more}


def template(kind: str, name: str, pod: Json, **more: Any) -> Json:
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}}
    inner = {"metadata": {"labels": {"app": "web"}}, "spec": pod}
    return thing(kind, name, {**spec, "template": inner}, **more)


def changed(raw: Json, **metadata: Any) -> Json:
    """The next generation of an object."""
    before = raw["metadata"]
    return {**raw, "metadata": {**before, "generation": before["generation"] + 1, **metadata}}


class Log:
    """Makes events, each a second after the one before."""

    def __init__(self) -> None:
        self.number = 0

    def event(self, verb: str, raw: Json | None, **given: Any) -> AuditEvent:
        self.number += 1
        kind = raw["kind"] if raw is not None else "Pod"
        group, plural = PLURALS[kind]
        metadata = raw["metadata"] if raw is not None else {}
        ref = {"resource": plural, "apiGroup": group, "apiVersion": "v1", "name": metadata.get("name", "")}
        ref["namespace"] = metadata.get("namespace", "shop")
        found: Json = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "RequestResponse",
            "auditID": str(self.number),
            "stage": "ResponseComplete",
            "requestURI": f"/{plural}",
            "verb": verb,
            "user": {"username": "alice", "groups": ["devs"]},
            "objectRef": ref,
            "responseStatus": {"code": 201 if verb == "create" else 200},
            "requestObject": raw,
            "responseObject": raw,
            "stageTimestamp": f"2026-11-30T10:{self.number // 60:02}:{self.number % 60:02}Z",
        }
        found["objectRef"] = ref | given.pop("ref", {})
        return read_event(found | given, LinePlace("audit.log", self.number), "native")


def denied(judged: History, events: Iterable[AuditEvent]) -> list[bool | None]:
    """For each event whether it would have been denied; None where it was not judged."""
    found = (judged.take(one) for one in events)
    return [None if one is None else not one.verdict.allowed for one in found]
