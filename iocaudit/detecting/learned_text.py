"""Learned profiles as YAML to be read by a person: sorted, with how often and when each was seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.core.moments import rfc3339
from iocaudit.core.wording import counted
from iocaudit.core.yaml_write import inline, scalar
from iocaudit.detecting.learning import LearnedProfiles, LearnedRow
from iocaudit.detecting.profile_check import ActivitySpan
from iocaudit.signals.profiles.reader import BOUNDS, KIND

_Rows = dict[LearnedRow, ActivitySpan]
_Row = TypeVar("_Row")


def profile_text(found: LearnedProfiles) -> str:
    """One document a namespace."""
    return "---\n".join("".join(f"{line}\n" for line in _document(space, found)) for space in sorted(found.rows))


def _document(namespace: str, found: LearnedProfiles) -> Iterator[str]:
    rows = found.rows[namespace]
    yield f"# What was seen in namespace {scalar(namespace)}. Read it, take out what should not be,"
    yield "# write CIDRs and globs where they are meant, then set mode: warn (findings of low severity), and enforce"
    yield "# when nothing is left outside."
    yield f"apiVersion: {API_VERSION}"
    yield f"kind: {KIND}"
    yield "metadata:"
    yield "  name: learned"
    yield f"  namespace: {scalar(namespace)}"
    yield "spec:"
    yield "  mode: learn"
    yield from _processes(rows)
    yield from _destinations(rows)
    yield from _accounts(rows)


def _processes(rows: _Rows) -> Iterator[str]:
    found = _grouped(rows, "process")
    if found:
        yield "  processes:"
    for image, own in found.items():
        for part in _parts(own, BOUNDS["spec.processes[].executables"]):
            yield f"  - image: {scalar(image)}"
            yield "    executables:"
            for row in part:
                yield f"    - {scalar(row.name)}  # {_seen(rows[row])}"


def _destinations(rows: _Rows) -> Iterator[str]:
    found = _grouped(rows, "destination")
    if found:
        yield "  destinations:"
    for host, own in found.items():
        with_port = sorted((row for row in own if row.name), key=lambda row: int(row.name))
        if any(not row.name for row in own):
            yield f"  - to: [{scalar(host)}]  # any port: {_seen(rows[LearnedRow('destination', host, '')])}"
        for part in _parts(with_port, BOUNDS["spec.destinations[].ports"]):
            yield f"  - to: [{scalar(host)}]"
            yield "    ports:"
            for row in part:
                yield f"    - {row.name}  # {_seen(rows[row])}"


def _accounts(rows: _Rows) -> Iterator[str]:
    found = _grouped(rows, "account")
    if found:
        yield "  accounts:"
    for account, own in found.items():
        by_resource: dict[str, list[LearnedRow]] = {}
        for row in own:
            by_resource.setdefault(row.name, []).append(row)
        for part in _parts(list(by_resource), BOUNDS["spec.accounts[].rules"]):
            yield f"  - account: {scalar(account)}"
            yield "    rules:"
            for resource in part:
                for row in by_resource[resource]:
                    yield f"    # {row.verb}: {_seen(rows[row])}"
                yield f"    - verbs: {inline([row.verb for row in by_resource[resource]])}"
                yield f"      resources: {inline([resource])}"


def _grouped(rows: _Rows, sort: str) -> dict[str, list[LearnedRow]]:
    found: dict[str, list[LearnedRow]] = {}
    for row in sorted(row for row in rows if row.sort == sort):
        found.setdefault(row.of, []).append(row)
    return found


def _parts(items: list[_Row], most: int) -> Iterator[list[_Row]]:
    """The items in lists that an entry may hold."""
    for at in range(0, len(items), most):
        yield items[at : at + most]


def _seen(span: ActivitySpan) -> str:
    times = counted(span.count, "time")
    if span.first is None or span.last is None:
        return times
    first, last = rfc3339(span.first), rfc3339(span.last)
    return f"{times}, {first}" if first == last else f"{times}, first {first}, last {last}"
