"""The warnings of a verdict: each whole in itself, and together no more than the API server passes on.

It passes on 4,096 characters for one request, no matter who warns. Beyond that it cuts every warning to 256 characters,
then drops the rest. Neither it nor kubectl cuts a warning otherwise. Source: k8s.io/apiserver,
pkg/endpoints/filters/warning.go; client-go, rest/warnings.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from iocaudit.core.report import ReportedHit, SameHit, home_of
from iocaudit.core.resource import Ref
from iocaudit.engine.posture import Verdict
from iocaudit.knowledge.clipping import clip

LONGEST = 256
MOST_TOGETHER = 3072
"""Characters of all our warnings on one request: the rest is for the API server's own and for other webhooks."""
MOST_OF_AN_OBJECT = 3
"""How many lines are about one object; one more says what is left out, and which command lists it."""

_EVERYWHERE = "kubectl get iocfindings,clusteriocfindings -A"
_FOR_MORE = 96
"""Kept free for the line that says how many more there are."""
_MOST_HOME = 100
_LEAST_CAUSE = 80
"""Characters of a cause that an object's name does not take from it."""


class _Line(NamedTuple):
    """``stands_for``: how many hits, or other things to be said, it tells."""

    text: str
    stands_for: int = 1


def warnings(verdict: Verdict) -> list[str]:
    """One line a hit, worst first: object, cause, and the command that explains it. None is said twice.

    What was not evaluated is said of its object in the same way; what cannot be said within the bounds is counted.
    """
    if not (verdict.warnings or verdict.notes or verdict.faults or verdict.skipped):
        return []
    objects: dict[Ref | None, _ObjectWarnings] = {}
    for found in verdict.causes.warnings:
        _said_of(objects, found.subject).hits.setdefault(found.same_hit, found)
    for fault in verdict.faults:
        _said_of(objects, fault.subject).add(f"could not be evaluated: {fault.error}", fault.check)
    for skipped in verdict.skipped:
        _said_of(objects, skipped.subject).add(f"not evaluated: {skipped.reason}", skipped.check)
    lines = [_Line(part) for note in verdict.notes for part in _wrapped(_plain(note))]
    lines += (line for ref, said in objects.items() for line in _of_object(ref, said))
    return _within_bounds(lines)


@dataclass(slots=True)
class _ObjectWarnings:
    """What is to be said of one object: its hits, and why something was not evaluated, by reason, for which checks."""

    hits: dict[SameHit, ReportedHit] = field(default_factory=dict)
    gaps: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, check: str | None) -> None:
        """One unknown role is the reason of every check on its binding."""
        self.gaps.setdefault(reason, []).extend([check] if check else [])


def _said_of(objects: dict[Ref | None, _ObjectWarnings], ref: Ref | None) -> _ObjectWarnings:
    return objects.setdefault(ref, _ObjectWarnings())


def _of_object(ref: Ref | None, said: _ObjectWarnings) -> Iterator[_Line]:
    room = MOST_OF_AN_OBJECT
    hits = _most_telling(said.hits.values(), room - bool(said.gaps))
    yield from map(_Line, hits)
    gaps = list(said.gaps.items())[: room - len(hits)]
    yield from (_Line(_fitting("", ref, reason, _explain(*ids) if ids else "")) for reason, ids in gaps)
    hidden, more = len(said.hits) - len(hits), len(said.gaps) - len(gaps)
    if hidden or more:
        where = f": kubectl get {_listing(ref, 'iocfindings' if hidden else 'auditreports')}"
        yield _Line(_fitting("", ref, f"and {hidden + more} more", where), hidden + more)


def _listing(ref: Ref | None, plural: str) -> str:
    home = home_of(ref) if ref is not None else None
    return f"{plural} -n {clip(home, _MOST_HOME)}" if home else f"cluster{plural}"


def _most_telling(hits: Iterable[ReportedHit], most: int) -> list[str]:
    """The worst hits, and of equally bad ones first those of different checks; what reads alike is told once."""
    of_check: dict[str, int] = {}
    lines: dict[str, tuple[int, int]] = {}
    for one in hits:
        nth = of_check[one.check] = of_check.get(one.check, 0) + 1
        lines.setdefault(_hit(one), (-one.severity, nth))
    return sorted(lines, key=lambda line: lines[line])[:most]


def _hit(found: ReportedHit) -> str:
    return _fitting(f"[{found.severity.label}] ", found.subject, found.hit.message, _explain(found.check))


def _within_bounds(lines: Iterable[_Line]) -> list[str]:
    kept: dict[str, None] = {}
    free, more = MOST_TOGETHER - _FOR_MORE, 0
    for line in lines:
        if line.text in kept:
            continue
        if more or len(line.text) > free:
            more += line.stands_for
            continue
        kept[line.text] = None
        free -= len(line.text)
    return [*kept, f"and {more} more: {_EVERYWHERE}"] if more else list(kept)


def _explain(check: str, *others: str) -> str:
    more = f" ({len(others)} more checks)" if others[1:] else " (1 more check)" if others else ""
    return f"; see iocaudit explain {check}{more}"


def _fitting(before: str, ref: Ref | None, cause: str, after: str) -> str:
    """``before object: cause after`` in at most LONGEST characters: what stands before and after is never cut."""
    name = f"{_plain(str(ref))}: " if ref is not None else ""
    cause = _plain(cause)
    room = LONGEST - len(before) - len(after)
    if len(name) + len(cause) > room:
        least = min(len(cause), _LEAST_CAUSE)
        if name and len(name) > room - least:
            name = clip(name[:-2], room - least - 2) + ": "
        cause = _clipped(cause, room - len(name))
    return f"{before}{name}{cause}{after}"


def _plain(text: str) -> str:
    """The same on one line and without what a terminal or a header takes for a command."""
    return "".join(character if character.isprintable() else " " for character in text)


def _clipped(text: str, most: int) -> str:
    """Cut behind a word where one ends in the last third."""
    cut = clip(text, most)
    if cut == text or " " not in cut[most * 2 // 3 :]:
        return cut
    return cut[: cut.rindex(" ")].rstrip(" ,;:") + "…"


def _wrapped(note: str) -> Sequence[str]:
    """The whole note, in lines that are short enough."""
    if len(note) <= LONGEST:
        return (note,)
    parts: list[str] = []
    while len(note) > LONGEST:
        end = note.rfind(" ", LONGEST // 2, LONGEST + 1)
        end = end if end > 0 else LONGEST
        parts.append(note[:end].rstrip())
        note = note[end:].lstrip()
    return (*parts, note) if note else parts
