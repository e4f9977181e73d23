"""Audit a few YAML documents with one check, in a world of their own."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from iocaudit.core.kinds import Kind
from iocaudit.core.report import Report
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor, audit
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy import read_policies

CATALOGUE = builtin_catalogue()


def resources(text: str) -> list[Resource]:
    """The documents of a YAML text, as of one file."""
    documents = [document for document in yaml.safe_load_all(text) if document]
    return [Resource(document, Origin("file", "test.yaml")) for document in documents]


def world_of(subjects: Iterable[Resource], incomplete: Mapping[Kind, str] | None = None) -> World:
    """A world that holds these, with some kinds marked as not read whole."""
    world = World()
    for resource in subjects:
        world.add(resource)
    for kind, reason in (incomplete or {}).items():
        world.mark_incomplete(kind, reason)
    return world


def audited(
    check: str,
    text: str,
    *,
    incomplete: Mapping[Kind, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Report:
    """The report of one check on every document; a Fault fails the test at once."""
    subjects = resources(text)
    spec = {"checks": [{"ids": [check], "mode": "audit", "parameters": dict(parameters or {})}]}
    policies = read_policies([{"metadata": {"name": "test"}, "spec": spec}], CATALOGUE, profile="strict")
    report = audit(subjects, Auditor(CATALOGUE.select([check]), policies, world_of(subjects, incomplete)))
    assert not report.faults, report.faults
    return report


def messages(check: str, text: str, **more: Any) -> list[str]:
    """What the check says, with the reasons of what it skipped; those begin with ``skipped:``."""
    report = audited(check, text, **more)
    return [*(found.message for found in report.found), *(f"skipped: {one.reason}" for one in report.skipped)]
