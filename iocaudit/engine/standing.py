"""The hits that stand in a JSON report, and which of them are to be accepted.

The unit is the finding: one check on one object, as a waiver cannot distinguish the hits of a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core.errors import IocauditError
from iocaudit.core.identity import FINGERPRINT
from iocaudit.core.kinds import kind_of
from iocaudit.core.report import home_of
from iocaudit.core.resource import Ref
from iocaudit.core.severity import Severity
from iocaudit.core.shape import mapping, text
from iocaudit.engine.waiver_reader import KIND_PATTERN

_NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9.:_-]{1,253}")
_HOME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST_NAME = 253


class ReportError(IocauditError):
    """What was given is not a report of ``iocaudit scan -o json``; names the entry."""


class FindingKey(NamedTuple):
    """One check on one object. ``home`` None: cluster scope."""

    home: str | None
    check: str
    group: str
    kind: str
    name: str

    @property
    def kind_name(self) -> str:
        """As waivers name a kind: with its group where it has one."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def problem(self) -> str:
        """Why no waiver can name the object exactly; nothing where one can."""
        if self.home is not None and not _HOME.fullmatch(self.home):
            return "its namespace is not a name that a waiver can hold"
        if not KIND_PATTERN.fullmatch(self.kind_name) or len(self.kind_name) > _LONGEST_NAME:
            return "its kind is not a name that a waiver can hold"
        if not _NAME.fullmatch(self.name):
            return "its name is not one that a waiver can hold without wildcards"
        return ""

    def __str__(self) -> str:
        return f"{self.check} on {self.kind} {self.home + '/' if self.home else ''}{self.name}"


@dataclass(slots=True)
class StandingFinding:
    """One check on one object with its hits by fingerprint, each with the fingerprint of the hit that implies it."""

    key: FindingKey
    severity: Severity = Severity.LOW
    hits: dict[str, str | None] = field(default_factory=dict)

    @property
    def causes(self) -> frozenset[str]:
        """The fingerprints of the hits that imply hits of this finding."""
        return frozenset(by for by in self.hits.values() if by)

    @property
    def stands_by_itself(self) -> bool:
        """Whether any of its hits has no other for its cause."""
        return None in self.hits.values()


def standing(report: Mapping[str, Any], unset: str = "default") -> list[StandingFinding]:
    """The findings of a JSON report that nobody has accepted. Raises ReportError.

    ``unset`` is the namespace of objects of namespaced kinds that name none.
    """
    entries = report.get("findings")
    if not isinstance(entries, list) or "summary" not in report:
        raise ReportError("it is not a report: write one with iocaudit scan -o json")
    found: dict[FindingKey, StandingFinding] = {}
    for index, entry in enumerate(entries):
        key, severity, fingerprint = _read(entry, f"findings[{index}]", unset)
        one = found.setdefault(key, StandingFinding(key))
        one.severity = max(one.severity, severity)
        one.hits[fingerprint] = text(entry.get("impliedBy")) or None
    return list(found.values())


def _read(entry: Any, where: str, unset: str) -> tuple[FindingKey, Severity, str]:
    subject = mapping(mapping(entry).get("subject"))
    check, fingerprint = text(mapping(entry).get("check")), text(mapping(entry).get("fingerprint"))
    if not check or not subject or not FINGERPRINT.fullmatch(fingerprint):
        raise ReportError(f"{where} has no check, subject and fingerprint: write the report with iocaudit scan -o json")
    try:
        severity = Severity.parse(text(entry.get("severity")))
    except ValueError as error:
        raise ReportError(f"{where}.severity: {error}") from error
    group, _, version = text(subject.get("apiVersion")).rpartition("/")
    kind, name = text(subject.get("kind")), text(subject.get("name"))
    ref = Ref(group, version, kind, text(subject.get("namespace")) or None, name)
    home = home_of(ref)
    known = kind_of(ref.group, ref.kind)
    if home is None and known is not None and known.namespaced:
        home = unset
    return FindingKey(home, check, ref.group, ref.kind, ref.name), severity, fingerprint


class FindingCriteria(NamedTuple):
    """What to accept; an empty part asks for nothing. ``homes`` may hold None, for cluster scope.

    ``named``: the checks were asked for by name, so what they say is wanted even where another hit is its cause.
    """

    homes: frozenset[str | None] = frozenset()
    checks: frozenset[str] = frozenset()
    is_object: Callable[[FindingKey], bool] = lambda _: True
    critical: bool = False

    def asks_for(self, key: FindingKey) -> bool:
        return (
            (not self.homes or key.home in self.homes)
            and (not self.checks or key.check in self.checks)
            and self.is_object(key)
        )


class FindingSelection(NamedTuple):
    """``parts`` are, by finding, those that it implies on its own object. ``left`` says why something is not taken."""

    findings: list[StandingFinding]
    parts: dict[FindingKey, list[StandingFinding]]
    critical: list[StandingFinding]
    left: list[str]

    @property
    def taken(self) -> list[StandingFinding]:
        """All that is accepted, parts included."""
        return [*self.findings, *(part for parts in self.parts.values() for part in parts)]


def choose(found: Sequence[StandingFinding], wanted: FindingCriteria) -> FindingSelection:
    """What is asked for, and with each cause what it implies: accepting a cause must not raise its parts.

    Criticals are ``critical``, and left out, unless asked for. A part of which some hits have a cause that is not
    accepted, or none, stays as it is.
    """
    asked = [
        one for one in found if wanted.asks_for(one.key) and (one.stands_by_itself or one.key.check in wanted.checks)
    ]
    critical = [one for one in asked if one.severity is Severity.CRITICAL and not wanted.critical]
    findings = []
    left: list[str] = []
    for one in asked:
        if one.severity is Severity.CRITICAL and not wanted.critical:
            continue
        if problem := one.key.problem:
            left.append(f"{one.key}: {problem}")
        else:
            findings.append(one)
    taken = {one.key: one for one in findings}
    owner = {fingerprint: one for one in findings for fingerprint in one.hits}
    parts: dict[FindingKey, list[StandingFinding]] = {}
    for one in _nearest_first(found):
        if one.key in taken or not (causes := one.causes & owner.keys()):
            continue
        if one.stands_by_itself or causes != one.causes:
            left.append(f"{one.key}: some of its hits have other causes than what is accepted: it is left out")
            continue
        if one.severity is Severity.CRITICAL and not wanted.critical:
            critical.append(one)
            continue
        if problem := one.key.problem:
            left.append(f"{one.key}: {problem}")
            continue
        cause = owner[min(causes)]
        taken[one.key] = one
        owner |= dict.fromkeys(one.hits, cause)
        if _object(cause.key) == _object(one.key):
            parts.setdefault(cause.key, []).append(one)
        else:
            findings.append(one)
    return FindingSelection(findings, parts, critical, left)


def _nearest_first(found: Iterable[StandingFinding]) -> Iterator[StandingFinding]:
    """Those that are implied after what implies them, as far as that goes round no circle."""
    by_hit = {fingerprint: one for one in found for fingerprint in one.hits}
    done: dict[FindingKey, None] = {}

    def visit(one: StandingFinding, above: frozenset[FindingKey]) -> Iterator[StandingFinding]:
        if one.key in done or one.key in above:
            return
        for cause in sorted(one.causes):
            if cause in by_hit:
                yield from visit(by_hit[cause], above | {one.key})
        if one.key not in done:
            done[one.key] = None
            yield one

    for one in found:
        yield from visit(one, frozenset())


def _object(key: FindingKey) -> tuple[str | None, str, str, str]:
    return (key.home, key.group, key.kind, key.name)
