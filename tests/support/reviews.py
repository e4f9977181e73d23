"""Requests as the webhook gets them, what the API server stores, and a decision as the edge takes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from admission.state import State
from iocaudit.cluster.errors import NotFoundError, UnreachableError
from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.posture import Verdict
from iocaudit.judging.review import answer
from iocaudit.sources.admission_review import Review, read_review
from tests.support.policies import LOCKDOWN

CATALOGUE = builtin_catalogue()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ENDS = datetime(2026, 12, 24, tzinfo=UTC)
Json = dict[str, Any]
DEPLOYMENT_CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"
REPLICASET_CONTROLLER = "system:serviceaccount:kube-system:replicaset-controller"
CRONJOB_CONTROLLER = "system:serviceaccount:kube-system:cronjob-controller"
JOB_CONTROLLER = "system:serviceaccount:kube-system:job-controller"


def waiver(
    name: str = "legacy", *, covered: list[str] | None = None, repositories: list[str] | None = None, **spec: Any
) -> Resource:
    base = {
        "checks": ["privileged-container"],
        "namespaces": ["shop"],
        "owner": "team-shop",
        "reason": "until v2 is out",
        "expires": "2026-12-24T00:00:00Z",
        "allowNew": covered is None,
    }
    raw: Json = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "IocWaiver",
        "metadata": {"name": name, "creationTimestamp": "2026-11-20T00:00:00Z"},
        "spec": {**base, **spec},
    }
    if covered is not None:
        raw["status"] = {"covered": {"count": len(covered), "fingerprints": covered}}
        if repositories is not None:
            raw["status"]["covered"]["repositories"] = repositories
    return Resource(raw, CLUSTER, kind=IOC_WAIVER)


class Clock:
    """Time that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def under_lockdown() -> State:
    """A webhook with nothing in force but preset lockdown."""
    state = State(CATALOGUE)
    state.replace(AUDIT_POLICY, [Resource(LOCKDOWN, CLUSTER, kind=AUDIT_POLICY)])
    return state


def state_with(
    *waivers: Resource, clock: Callable[[], datetime] | None = None, policy: Json | None = None, **more: Any
) -> State:
    """``policy`` holds further fields of the policy's spec."""
    state = State(CATALOGUE, clock=clock or Clock(), **more)
    spec = {"checks": [{"ids": ["privileged-container", "host-pid"], "mode": "deny"}], **(policy or {})}
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}, "spec": spec}
    state.replace(AUDIT_POLICY, [Resource(raw, CLUSTER, kind=AUDIT_POLICY)])
    state.replace(IOC_WAIVER, list(waivers))
    return state


def pod_spec(image: str = "hooli.com/web:1", **more: Any) -> Json:
    container = {"name": "app", "image": image, "securityContext": {"privileged": True}}
    return {"containers": [container], **more}


def metadata(name: str, *, made_by: tuple[str, str] | None = None, **more: Any) -> Json:
    found: Json = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": {"app": "web"}, **more}
    if made_by is not None:
        kind, owner = made_by
        version = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
        reference = {"apiVersion": version, "kind": kind, "name": owner, "uid": f"uid-{owner}", "controller": True}
        found["ownerReferences"] = [reference]
    return found


def pod(name: str = "web", image: str = "hooli.com/web:1", **meta: Any) -> Json:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, **meta), "spec": pod_spec(image)}


def workload(kind: str, name: str, image: str = "hooli.com/web:1", **meta: Any) -> Json:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec(image)}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    status = {"replicas": 1}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata(name, **meta), "spec": spec, "status": status}


def review(raw: Json, user: str = "alice", old: Json | None = None, **more: Any) -> Review:
    group, _, version = raw["apiVersion"].rpartition("/")
    asked = {
        "uid": "1",
        "operation": "CREATE" if old is None else "UPDATE",
        "kind": {"group": group, "version": version, "kind": raw["kind"]},
        "namespace": raw["metadata"].get("namespace"),
        "userInfo": {"username": user},
        "object": raw,
        "oldObject": old,
        **more,
    }
    return read_review(orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}))


class Stored:
    """What the API server holds, by kind and name; ``broken`` are names whose look-up fails."""

    def __init__(self, *objects: Json, broken: tuple[str, ...] = ()) -> None:
        self._objects = {(one["kind"], one["metadata"]["name"]): one for one in objects}
        self._broken = broken
        self.asked: list[str] = []

    def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        assert namespace == "shop"
        self.asked.append(name)
        if name in self._broken:
            raise UnreachableError("GET: no answer")
        if (kind.name, name) not in self._objects:
            raise NotFoundError("GET", 404, "NotFound", "gone")
        return self._objects[(kind.name, name)]


def settle(state: State, asked: Review, stored: Stored | None = None) -> Verdict:
    """As the edge does: owners are fetched only once a denial is about to happen, or where one adopts."""
    return answer(asked, state.auditor, Deadline.within(60), get=stored.get if stored is not None else None)
