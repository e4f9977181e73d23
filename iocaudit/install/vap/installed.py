"""What is installed, compared with what the policies in force ask for now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from iocaudit.core.moments import is_past
from iocaudit.core.shape import Json, mapping, text
from iocaudit.install.vap.objects import BINDING, EXPORT_LABEL, EXPORT_LABELS, LEFT_OUT, POLICY

_KINDS = (POLICY.name, BINDING.name)
_MOST_FIELDS = 3
_END = re.compile(r" until (\S+) \(waiver ")


def is_exported(raw: Json) -> bool:
    """Whether an object of a cluster or a file is one of an export."""
    labels = mapping(mapping(raw.get("metadata")).get("labels"))
    return raw.get("kind") in _KINDS and labels.get(EXPORT_LABEL) == EXPORT_LABELS[EXPORT_LABEL]


def staleness(wanted: Iterable[Json], installed: Iterable[Json], now: datetime) -> list[str]:
    """What differs, a line each; nothing where what is installed is what is wanted.

    Only specs count, and what a policy says that it leaves out: an API server adds to the rest. A waiver whose end has
    passed by ``now``, and which is still left out, is named.
    """
    there = {_key(one): one for one in installed if one.get("kind") in _KINDS}
    lines = []
    for one in wanted:
        key = _key(one)
        found = there.pop(key, None)
        if found is None:
            lines.append(f"{' '.join(key)} is not installed")
            continue
        fields = list(_different(one["spec"], found.get("spec"), "spec"))
        if fields:
            more = f" and {len(fields) - _MOST_FIELDS} more" if len(fields) > _MOST_FIELDS else ""
            lines.append(f"{' '.join(key)} differs in {', '.join(fields[:_MOST_FIELDS])}{more}")
        elif not is_exported(found):
            lines.append(f"{' '.join(key)} lacks the label {EXPORT_LABEL}: {EXPORT_LABELS[EXPORT_LABEL]}")
        if one["kind"] == POLICY.name:
            lines += (f"{' '.join(key)} {said}" for said in _told_otherwise(_left_out(one), _left_out(found), now))
    lines += [
        f"{' '.join(key)} is installed and not asked for any more" for key, one in there.items() if is_exported(one)
    ]
    return lines


def _left_out(raw: Json) -> list[str]:
    return text(mapping(mapping(raw.get("metadata")).get("annotations")).get(LEFT_OUT)).splitlines()


def _told_otherwise(wanted: list[str], there: list[str], now: datetime) -> Iterator[str]:
    """What a policy says that it leaves out and should not say, and what it does not say."""
    for line in there:
        if line not in wanted:
            match = _END.search(line)
            is_over = match is not None and is_past(match[1], timedelta(0), now)
            over = ", which is over" if is_over else ", which does not hold any more"
            yield f"was exported to leave out {line}{over}"
    for line in wanted:
        if line not in there:
            yield f"does not say that it leaves out {line}"


def _key(raw: Json) -> tuple[str, str]:
    return text(raw.get("kind")), text(mapping(raw.get("metadata")).get("name"))


def _different(one: Any, other: Any, path: str) -> Iterator[str]:
    """The paths at which two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _different(one.get(name), other.get(name), f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _different(a, b, f"{path}[{at}]")
    elif one != other:
        yield path
