"""Run one check on objects made by a test, or on YAML documents, in a world of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from iocaudit.core.kinds import Kind
from iocaudit.core.report import Report, ReportedHit
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Origin, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor, audit
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies

CATALOGUE = builtin_catalogue()
_FILE = Origin("file", "test.yaml")
Json = dict[str, Any]

# -- objects -------------------------------------------------------------------------------------------------


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


def resources(text: str) -> list[Resource]:
    """The documents of a YAML text, as of one file."""
    return [Resource(document, _FILE) for document in yaml.safe_load_all(text) if document]


def asked(operation: Operation = Operation.CREATE, username: str = "alice", **more: Any) -> Request:
    """A request in namespace shop."""
    return Request(operation, username, **{"namespace": "shop", **more})


def world_of(subjects: Iterable[Resource], incomplete: Mapping[Kind, str] | None = None) -> World:
    """A world that holds these, with some kinds marked as not read whole."""
    world = World()
    for resource in subjects:
        world.add(resource)
    for kind, reason in (incomplete or {}).items():
        world.mark_incomplete(kind, reason)
    return world


# -- audits: a fault fails the test at once ------------------------------------------------------------------


def judge(
    check: str,
    subject: Json,
    *others: Json,
    parameters: Json | None = None,
    profile: str = "strict",
    request: Request | None = None,
) -> list[ReportedHit]:
    """The hits of a check on ``subject`` in a world of it and ``others``. A skip fails the test, too."""
    origin = ADMISSION if request is not None else _FILE
    subjects = [Resource(raw, origin) for raw in (subject, *others)]
    report = _auditor(check, subjects, parameters, profile=profile).audit(subjects[0], request=request)
    assert not report.faults, report.faults
    assert not report.skipped, report.skipped
    return report.found


def audited(
    check: str,
    text: str,
    *,
    incomplete: Mapping[Kind, str] | None = None,
    parameters: Json | None = None,
) -> Report:
    """The report of one check on every document, with some kinds marked as not read whole."""
    subjects = resources(text)
    report = audit(subjects, _auditor(check, subjects, parameters, incomplete))
    assert not report.faults, report.faults
    return report


def _auditor(
    check: str,
    subjects: Iterable[Resource],
    parameters: Json | None,
    incomplete: Mapping[Kind, str] | None = None,
    profile: str = "strict",
) -> Auditor:
    rules = [{"ids": [check], "mode": "audit", "parameters": parameters}]
    raws = [{"metadata": {"name": "test"}, "spec": {"checks": rules}}] if parameters else []
    policies = read_policies(raws, CATALOGUE, profile=profile)
    return Auditor(CATALOGUE.select([check]), policies, world_of(subjects, incomplete))


# -- what they said ------------------------------------------------------------------------------------------


def messages(check: str, text: str, **more: Any) -> list[str]:
    """What the check says, with the reasons of what it skipped; those begin with ``skipped:``."""
    report = audited(check, text, **more)
    return [*(found.message for found in report.found), *(f"skipped: {one.reason}" for one in report.skipped)]


def places(found: Iterable[ReportedHit]) -> list[str]:
    return [one.hit.path for one in found]


def evidence(found: Iterable[ReportedHit]) -> list[str]:
    return [one.hit.evidence for one in found]
