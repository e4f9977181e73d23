"""The findings stored in a live cluster, read-only: the worst of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iocaudit.cluster.api import Api
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError, NotFoundError
from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import Kind
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json, mapping, text
from iocaudit.records.finding import rank
from iocaudit.records.kinds import CLUSTER_AUDIT_REPORT, CLUSTER_IOC_FINDING, IOC_FINDING
from iocaudit.records.report import NAME as REPORT_NAME

_LAST = 9
"""Sorts what has no rank behind everything that has one."""


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which findings count. ``namespace`` None: those of all namespaces and of the cluster; no checks: any."""

    namespace: str | None
    lowest: Severity
    checks: frozenset[str]
    states: frozenset[str]

    def takes(self, raw: Json) -> bool:
        finding = mapping(raw.get("finding"))
        return (
            finding.get("state") in self.states
            and _rank(finding) <= rank(self.lowest)
            and (not self.checks or finding.get("check") in self.checks)
        )


@dataclass(slots=True)
class Findings:
    """``worst`` in their order, ``total`` how many counted, ``not_read`` what could not be read, and why."""

    worst: list[Json] = field(default_factory=list)
    total: int = 0
    not_read: list[str] = field(default_factory=list)
    enforcement: str = ""
    """Where anything is denied, as the operator has it; empty where that could not be read."""


def read_findings(
    wanted: FindingFilter, limit: int | None, *, context: str | None = None, kubeconfig: Path | None = None
) -> Findings:
    """The worst findings that count, at most ``limit`` (None: all); only as many are held in memory.

    Raises ApiError where none can be read, IocauditError where our kinds are not installed.
    """
    client = Client.connect(kubeconfig, context)
    found = Findings()
    errors: list[ApiError] = []
    kinds = (IOC_FINDING,) if wanted.namespace is not None else (IOC_FINDING, CLUSTER_IOC_FINDING)

    def each() -> Iterator[Json]:
        for kind in kinds:
            try:
                for raw in _once(client, kind, wanted.namespace):
                    if wanted.takes(raw):
                        found.total += 1
                        yield raw
            except ApiError as error:
                errors.append(error)
                found.not_read.append(f"{kind.plural}: {error}")

    found.worst = sorted(each(), key=worst_first) if limit is None else heapq.nsmallest(limit, each(), key=worst_first)
    with suppress(ApiError):
        report = client.get(CLUSTER_AUDIT_REPORT, None, REPORT_NAME)
        found.enforcement = text(mapping(report.get("report")).get("enforcement"))
    if len(errors) == len(kinds):
        if all(isinstance(error, NotFoundError) for error in errors):
            raise IocauditError("the cluster has no IocFindings: iocaudit is not installed in it")
        raise errors[0]
    return found


def _once(client: Api, kind: Kind, namespace: str | None) -> Iterator[Json]:
    """Every object of a kind once, also where its list had to begin again."""
    seen: set[tuple[str, str]] = set()
    for raw in client.each(kind, namespace=namespace):
        metadata = mapping(raw.get("metadata"))
        key = (text(metadata.get("namespace")), text(metadata.get("name")))
        if key not in seen:
            seen.add(key)
            yield raw


def _rank(finding: Mapping[str, Any]) -> int:
    found = finding.get("rank")
    return found if isinstance(found, int) else _LAST


def worst_first(raw: Json) -> tuple[int, int, str, str, str]:
    """By severity, then the one with the most hits or denied requests, then the oldest."""
    finding, metadata = mapping(raw.get("finding")), mapping(raw.get("metadata"))
    number = finding.get("count", finding.get("hitCount"))
    return (
        _rank(finding),
        -number if isinstance(number, int) else 0,
        text(finding.get("firstSeen")),
        text(metadata.get("namespace")),
        text(metadata.get("name")),
    )
