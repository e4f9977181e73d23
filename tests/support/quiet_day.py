"""A day on which nothing happens: controllers, kubelets, operators, a pipeline and people at work, and a drain."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.signal import Signal, signal_of
from tests.support.audit_events import Json, event

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
DAY = 24 * 3600
_PLACE = LinePlace("day", 1)
_RBAC, _APPS, _BATCH = "rbac.authorization.k8s.io", "apps", "batch"


class Routine(NamedTuple):
    """What an account does again and again: ``times`` a day; ``names`` are how many different objects."""

    account: str
    verb: str
    group: str
    resource: str
    namespace: str
    times: int
    names: int = 20
    agent: str = "kube-controller-manager/v1.36.0 (linux/amd64)"
    subresource: str = ""


def _sa(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


_CONTROLLER = "system:serviceaccount:kube-system:"
ROUTINES = (
    Routine(f"{_CONTROLLER}replicaset-controller", "create", "", "pods", "shop", 200, 200),
    Routine(f"{_CONTROLLER}replicaset-controller", "delete", "", "pods", "shop", 200, 200),
    Routine(f"{_CONTROLLER}deployment-controller", "update", _APPS, "replicasets", "shop", 300),
    Routine(f"{_CONTROLLER}daemon-set-controller", "create", "", "pods", "kube-system", 40, 40),
    Routine(f"{_CONTROLLER}cronjob-controller", "create", _BATCH, "jobs", "shop", 144, 144),
    Routine(f"{_CONTROLLER}job-controller", "create", "", "pods", "shop", 144, 144),
    Routine(f"{_CONTROLLER}endpointslice-controller", "update", "discovery.k8s.io", "endpointslices", "shop", 400),
    Routine(f"{_CONTROLLER}generic-garbage-collector", "delete", "", "pods", "shop", 100, 100),
    Routine(f"{_CONTROLLER}namespace-controller", "deletecollection", "", "secrets", "preview", 5, 5),
    Routine(f"{_CONTROLLER}root-ca-cert-publisher", "create", "", "configmaps", "preview", 10, 10),
    Routine(f"{_CONTROLLER}clusterrole-aggregation-controller", "patch", _RBAC, "clusterroles", "", 6, 3),
    Routine("system:kube-controller-manager", "get", "", "secrets", "kube-system", 60, 5),
    Routine("system:kube-scheduler", "create", "", "pods", "shop", 300, 300, "kube-scheduler/v1.36.0", "binding"),
    Routine("system:node:node-1", "get", "", "secrets", "shop", 500, 30, "kubelet/v1.36.0 (linux/amd64)"),
    Routine("system:node:node-1", "create", "", "serviceaccounts", "shop", 300, 30, "kubelet/v1.36.0", "token"),
    Routine("system:node:node-1", "patch", "", "pods", "shop", 600, 100, "kubelet/v1.36.0", "status"),
    Routine(
        _sa("cert-manager", "cert-manager"), "update", "", "secrets", "shop", 20, 10, "cert-manager-controller/v1.16"
    ),
    Routine(_sa("cert-manager", "cert-manager"), "list", "", "secrets", "", 6, 1, "cert-manager-controller/v1.16"),
    Routine(_sa("argocd", "argocd-application-controller"), "patch", _APPS, "deployments", "shop", 60, 20, "argocd/v3"),
    Routine(_sa("argocd", "argocd-application-controller"), "list", "", "secrets", "", 24, 1, "argocd/v3"),
    Routine(_sa("argocd", "argocd-application-controller"), "patch", _RBAC, "roles", "shop", 10, 5, "argocd/v3"),
    Routine(_sa("monitoring", "prometheus"), "list", "", "pods", "", 200, 1, "Prometheus/3.0"),
    Routine(_sa("kube-system", "cluster-autoscaler"), "update", "", "nodes", "", 40, 6, "cluster-autoscaler/v1.36"),
    Routine(_sa("ci", "deployer"), "patch", _APPS, "deployments", "shop", 30, 20, "helm/v4"),
    Routine(_sa("ci", "deployer"), "create", "", "secrets", "shop", 30, 30, "helm/v4"),
    Routine("alice", "list", "", "pods", "shop", 60, 1, "kubectl/v1.36.0 (darwin/arm64)"),
    Routine("alice", "get", "", "pods", "shop", 40, 20, "kubectl/v1.36.0 (darwin/arm64)", "log"),
    Routine("bob", "patch", _APPS, "deployments", "shop", 8, 5, "kubectl/v1.36.0 (linux/amd64)"),
)
"""Those of the control plane, of common add-ons, of a pipeline, and of two people."""


def quiet_day(seed: int) -> list[Signal]:
    """All of it in the order of time, with a drain in the afternoon."""
    chance = random.Random(seed)
    found = [
        _signal(routine, chance.randrange(routine.names), BEGIN + timedelta(seconds=chance.random() * DAY))
        for routine in ROUTINES
        for _ in range(routine.times)
    ]
    return sorted([*found, *drain(BEGIN + timedelta(hours=15))], key=lambda one: one.when or BEGIN)


def drain(begin: datetime, pods: int = 40) -> Iterator[Signal]:
    """``kubectl drain``: the node is cordoned, its pods are evicted, their controllers make new ones."""
    admin = {"username": "admin@example.com", "groups": ["system:authenticated", "platform"]}
    agent = "kubectl/v1.36.0 (linux/amd64)"
    yield _read(_target("nodes", "", "node-1"), "patch", admin, agent, begin)
    for number in range(pods):
        when = begin + timedelta(seconds=2 * number)
        pod = _target("pods", "shop", f"web-{number}")
        yield _read(pod, "get", admin, agent, when)
        yield _read(pod | {"subresource": "eviction"}, "create", admin, agent, when, 201)
        controller = {"username": f"{_CONTROLLER}replicaset-controller"}
        yield _read(_target("pods", "shop", f"new-{number}"), "create", controller, ROUTINES[0].agent, when, 201)


def _signal(routine: Routine, number: int, when: datetime) -> Signal:
    name = "" if routine.verb in ("list", "deletecollection") else f"{routine.resource}-{number}"
    target = _target(routine.resource, routine.namespace, name)
    target |= {"apiGroup": routine.group} if routine.group else {}
    target |= {"subresource": routine.subresource} if routine.subresource else {}
    code = 201 if routine.verb == "create" else 200
    return _read(target, routine.verb, {"username": routine.account}, routine.agent, when, code)


def _target(resource: str, namespace: str, name: str) -> Json:
    given = {"resource": resource, "namespace": namespace, "name": name, "apiVersion": "v1"}
    return {key: value for key, value in given.items() if value}


def _read(target: Json, verb: str, user: Json, agent: str, when: datetime, code: int = 200) -> Signal:
    raw = event(
        1,
        auditID=f"{user['username']}-{when.isoformat()}",
        verb=verb,
        user=user,
        objectRef=target,
        userAgent=agent,
        requestURI=f"/api/v1/{target['resource']}",
        responseStatus={"code": code},
        requestObject=None,
        responseObject=None,
        requestReceivedTimestamp=when.isoformat(),
        stageTimestamp=when.isoformat(),
    )
    return signal_of(read_event(raw, _PLACE, "native"))
