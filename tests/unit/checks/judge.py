"""Run one check on objects made by a test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from iocaudit.core.report import Found
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Origin, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.policy import read_policies

_CATALOGUE = builtin_catalogue()
Json = dict[str, Any]


def container(**fields: Any) -> Json:
    """A container called ``app``."""
    return {"name": "app", "image": "hooli.com/shop/web:1.4", **fields}


def pod(*containers: Json, metadata: Json | None = None, **spec: Any) -> Json:
    """A Pod ``shop/web``; without containers it has the one of ``container()``."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", **(metadata or {})},
        "spec": {"containers": list(containers) or [container()], **spec},
    }


def cron_job(spec: Json) -> Json:
    """A CronJob ``shop/web`` around a pod's spec: the deepest of the built-in templates."""
    template = {"spec": {"template": {"spec": spec}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"jobTemplate": template},
    }


def judge(
    check: str,
    subject: Json,
    *others: Json,
    parameters: Json | None = None,
    profile: str = "strict",
    request: Request | None = None,
) -> list[Found]:
    """The hits of a check on ``subject`` in a world of it and ``others``. A fault or a skip fails the test."""
    found = _CATALOGUE.find(check)
    assert found is not None
    spec = {"checks": [{"ids": [check], "mode": "audit", "parameters": parameters}]} if parameters else {"checks": []}
    policies = read_policies([{"metadata": {"name": "test"}, "spec": spec}], _CATALOGUE, profile=profile)
    origin = ADMISSION if request is not None else Origin("file", "test.yaml")
    world = World()
    resources = [Resource(raw, origin) for raw in (subject, *others)]
    for resource in resources:
        world.add(resource)
    report = Auditor(Catalogue([found]), policies, world).audit(resources[0], request=request)
    assert not report.faults
    assert not report.skipped
    return report.found


def asked(operation: Operation = Operation.CREATE, username: str = "alice", **more: Any) -> Request:
    """A request in namespace shop."""
    return Request(operation, username, **{"namespace": "shop", **more})


def places(found: Iterable[Found]) -> list[str]:
    return [one.hit.path for one in found]


def evidence(found: Iterable[Found]) -> list[str]:
    return [one.hit.evidence for one in found]
