"""What an audit says: hits with their subjects, what was not evaluated, what failed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from iocaudit.core.hit import Hit
from iocaudit.core.identity import fingerprint, name_suffix
from iocaudit.core.images_behind import NO_IMAGES, ImageLookup, ImagesBehind
from iocaudit.core.kinds import kind_of
from iocaudit.core.repair import Suggestion
from iocaudit.core.resource import Origin, Ref
from iocaudit.core.severity import IoC, Severity

if TYPE_CHECKING:
    from iocaudit.core.stored_patch import StoredPatch

MOST_HITS = 50
"""How many hits a finding lists; beyond that only the count grows."""


def finding_fingerprint(check: str, ref: Ref) -> str:
    """Names one check on one object, whatever the API version."""
    return fingerprint("finding", *_parts(check, ref))


def finding_name(check: str, ref: Ref) -> str:
    """The name of the finding's custom resource: ``<check>-<the same digest>``."""
    return f"{check}-{name_suffix('finding', *_parts(check, ref))}"


def _parts(check: str, ref: Ref) -> tuple[str | None, ...]:
    return (check, ref.group, ref.kind, ref.namespace or None, ref.name)


GroupKey = tuple[str, str, str, str | None, str]
"""Check, and group, kind, namespace and name of its subject."""
SameHit = tuple[str, str, str]
"""Check, path and evidence: what makes two hits of one object the same."""


class Cause(NamedTuple):
    """One check on one object, where it was read: what a person mends by one act."""

    check: str
    group: str
    kind: str
    namespace: str | None
    name: str
    file: str | None
    document: int
    item: str


class ReportedHit(NamedTuple):
    """A hit of a check on a subject. ``severity`` is what holds under the policy in force.

    ``suggestion`` is its repair worked out, where someone asked for that and it can be done. ``weight`` orders hits by
    what the policy in force does with them: the stricter, the higher.
    """

    check: str
    severity: Severity
    iocs: tuple[IoC, ...]
    subject: Ref
    origin: Origin
    hit: Hit
    default_fix: str = ""
    suggestion: Suggestion | None = None
    weight: int = 0

    @property
    def message(self) -> str:
        """Names object, field and value."""
        return f"{self.subject}: {self.hit.message} ({self.hit.place})"

    @property
    def fix(self) -> str:
        return self.hit.fix or self.default_fix

    @property
    def fingerprint(self) -> str:
        """Names this very hit, its evidence included."""
        return fingerprint("hit", *_parts(self.check, self.subject), self.hit.path, self.hit.evidence)

    @property
    def finding_fingerprint(self) -> str:
        return finding_fingerprint(self.check, self.subject)

    @property
    def group(self) -> GroupKey:
        """What the hits of one finding have in common."""
        ref = self.subject
        return (self.check, ref.group, ref.kind, ref.namespace, ref.name)

    @property
    def cause(self) -> Cause:
        """What the hits of one finding have in common, of overlays of one object each its own."""
        origin, ref = self.origin, self.subject
        return Cause(
            self.check, ref.group, ref.kind, ref.namespace, ref.name, origin.file, origin.document, origin.item
        )

    @property
    def same_hit(self) -> SameHit:
        """What makes two hits of one object the same across an UPDATE: check, path and evidence."""
        return (self.check, self.hit.path, self.hit.evidence)

    @property
    def path_in_document(self) -> str:
        """Where it stands in the document that holds its object."""
        item, place = self.origin.item, self.hit.place
        return f"{item}.{place}" if item and place else item or place

    @property
    def in_template(self) -> SameHit:
        """What makes a hit of a pod and one of the template it was made from the same: as it reads on the pod."""
        path = self.hit.path
        for prefix in _templates_of(self.subject.group, self.subject.kind):
            if path.startswith(prefix):
                path = path[len(prefix) :]
                break
        return (self.check, path, self.hit.evidence)


@cache
def _templates_of(group: str, name: str) -> tuple[str, ...]:
    """Where a kind holds pods that are made of a template, as far as it holds one there."""
    kind = kind_of(group, name)
    places = (place.path for place in kind.pods if place.style == "template") if kind is not None else ()
    return tuple(f"{'.'.join(path)}." for path in places if {"*", "[]"}.isdisjoint(path))


class Skipped(NamedTuple):
    """Something that was not evaluated, and why. ``check`` is None where no check at all could run."""

    check: str | None
    subject: Ref | None
    reason: str
    origin: Origin | None = None


def by_reason(skipped: Iterable[Skipped]) -> list[tuple[str, Skipped]]:
    """What was skipped, once for each object and reason, with the checks that say so: ``a-check and 3 more``.

    One unknown role is the reason of every check on its binding: a person wants to read it once.
    """
    found: dict[tuple[Ref | None, Origin | None, str], tuple[list[str], Skipped]] = {}
    for one in skipped:
        ids, _ = found.setdefault((one.subject, one.origin, one.reason), ([], one))
        if one.check:
            ids.append(one.check)
    return [(f"{ids[0]} and {len(ids) - 1} more" if ids[1:] else "".join(ids), one) for ids, one in found.values()]


class Fault(NamedTuple):
    """A check that raised or ran out of time on a subject: never a silent pass.

    ``trace`` is for a log: where the check raised, the first time that it did.
    """

    check: str
    subject: Ref | None
    error: str
    origin: Origin | None = None
    trace: str = ""


class WaivedHit(NamedTuple):
    """A hit that a waiver covers: an accepted risk, said but not counted. ``expires`` is RFC 3339."""

    found: ReportedHit
    waiver: str
    reason: str
    expires: str


class IgnoredHit(NamedTuple):
    """A hit that an annotation of its own object asks to leave out: told with the reason, not counted."""

    found: ReportedHit
    reason: str


class ImpliedHit(NamedTuple):
    """A hit that has the same cause as another, which is shown and at least as severe: told with that one alone."""

    found: ReportedHit
    by: ReportedHit


@dataclass(slots=True)
class Report:
    """The outcome of one audit. ``not_configured`` maps a check to the parameters it lacks.

    ``found`` are the hits that stand by themselves: all of them, until ``engine.causes`` puts those that others imply
    into ``implied``. ``images`` are those behind the hits, where one object was audited: little of it is worked out
    until it is asked.
    """

    found: list[ReportedHit] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    not_configured: dict[str, tuple[str, ...]] = field(default_factory=dict)
    audited: int = 0
    waived: list[WaivedHit] = field(default_factory=list)
    images: ImageLookup | None = field(default=None, compare=False, repr=False)
    implied: list[ImpliedHit] = field(default_factory=list)
    ignored: list[IgnoredHit] = field(default_factory=list)

    @property
    def hits(self) -> list[ReportedHit]:
        """Every hit that nothing accepts, implied or not, in the order every output uses."""
        if not self.implied:
            return self.found
        return sorted([*self.found, *(one.found for one in self.implied)], key=_order_found)

    @property
    def causes(self) -> dict[Cause, Severity]:
        """What there is to mend, in the order of ``found``, each as bad as the worst of its hits."""
        causes: dict[Cause, Severity] = {}
        for one in self.found:
            cause = one.cause
            known = causes.get(cause)
            causes[cause] = one.severity if known is None or one.severity > known else known
        return causes

    def parts(self) -> dict[int, list[ReportedHit]]:
        """By the ``id`` of a hit in ``found`` those that it implies."""
        parts: dict[int, list[ReportedHit]] = {}
        for one in self.implied:
            parts.setdefault(id(one.by), []).append(one.found)
        return parts

    def behind(self, found: ReportedHit) -> ImagesBehind:
        """The images behind one of its hits."""
        return NO_IMAGES if self.images is None else self.images.behind(found.hit.path)

    def place(self, placed: Callable[[ReportedHit], ReportedHit]) -> None:
        """Put every hit, accepted or not, where ``placed`` says that it was read."""
        self.found = [placed(one) for one in self.found]
        self.waived = [one._replace(found=placed(one.found)) for one in self.waived]
        self.ignored = [one._replace(found=placed(one.found)) for one in self.ignored]

    def extend(self, other: "Report") -> None:
        self.found += other.found
        self.implied += other.implied
        self.waived += other.waived
        self.ignored += other.ignored
        self.skipped += other.skipped
        self.faults += other.faults
        self.not_configured |= other.not_configured
        self.audited += other.audited

    def sorted(self) -> "Report":
        """The same, in the order every output uses: file, object, then worst first."""
        return Report(
            sorted(self.found, key=_order_found),
            sorted(self.skipped, key=lambda s: (_origin(s.origin), str(s.subject), s.check or "", s.reason)),
            sorted(self.faults, key=lambda f: (_origin(f.origin), str(f.subject), f.check, f.error)),
            dict(sorted(self.not_configured.items())),
            self.audited,
            sorted(self.waived, key=lambda w: _order_found(w.found)),
            implied=sorted(self.implied, key=lambda i: _order_found(i.found)),
            ignored=sorted(self.ignored, key=lambda i: _order_found(i.found)),
        )


def _origin(origin: Origin | None) -> tuple[str, int, str]:
    return (origin.file or "", origin.document, origin.item) if origin else ("", 0, "")


def _order_found(found: ReportedHit) -> tuple[object, ...]:
    ref = found.subject
    return (
        _origin(found.origin),
        ref.kind,
        ref.namespace or "",
        ref.name,
        -found.severity,
        found.check,
        found.hit.path,
        found.hit.evidence,
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One check on one top-level owner, with its hits: what a custom resource holds.

    ``waived`` has, by ``same_hit``, those that a waiver covers. They come last and count for the severity only
    where there are no others. ``patch`` undoes it where that takes no more than the subject itself. ``implies`` are the
    hits of other findings that are told with this one.
    """

    check: str
    subject: Ref
    home: str | None
    severity: Severity
    iocs: tuple[IoC, ...]
    hits: tuple[ReportedHit, ...]
    verified: bool = True
    waived: Mapping[tuple[str, str, str], "WaivedHit"] = field(default_factory=dict)
    patch: "StoredPatch | None" = None
    implies: tuple[ReportedHit, ...] = ()

    @property
    def name(self) -> str:
        return finding_name(self.check, self.subject)

    @property
    def is_waived(self) -> bool:
        """Whether waivers cover all of it, each hit by one alone."""
        return len(self.waived) == len(self.hits)


def findings_of(
    found: Iterable[ReportedHit],
    waived: Iterable[WaivedHit] = (),
    patches: "Mapping[tuple[str, Ref], StoredPatch] | None" = None,
    parts: "Mapping[GroupKey, tuple[ReportedHit, ...]] | None" = None,
) -> list[Finding]:
    """Group hits, and those that waivers cover, by check and subject; the same hit said twice counts once.

    ``patches`` are those of checks on subjects, ``parts`` what hits of a check on a subject imply.
    """
    grouped: dict[GroupKey, dict[SameHit, ReportedHit]] = {}
    accepted: dict[int, WaivedHit] = {}
    for one in found:
        _group(grouped, one)
    for entry in waived:
        if _group(grouped, entry.found):
            accepted[id(entry.found)] = entry
    findings = []
    for key, hits in grouped.items():
        ordered = sorted(hits.values(), key=lambda f: (id(f) in accepted, -f.severity, f.hit.path, f.hit.evidence))
        first = ordered[0]
        covered = {one.same_hit: accepted[id(one)] for one in ordered if id(one) in accepted} if accepted else {}
        patch = patches.get((first.check, first.subject)) if patches else None
        findings.append(
            Finding(
                first.check,
                first.subject,
                home_of(first.subject),
                first.severity,
                first.iocs,
                tuple(ordered),
                waived=covered,
                patch=patch,
                implies=parts.get(key, ()) if parts else (),
            )
        )
    return findings


def parts_of(implied: Iterable[ImpliedHit]) -> dict[GroupKey, tuple[ReportedHit, ...]]:
    """What the hits of a check on a subject imply, each once, worst first."""
    parts: dict[GroupKey, dict[tuple[GroupKey, SameHit], ReportedHit]] = {}
    for one in implied:
        parts.setdefault(one.by.group, {}).setdefault((one.found.group, one.found.same_hit), one.found)
    return {
        group: tuple(
            sorted(found.values(), key=lambda f: (-f.severity, f.check, f.subject.kind, f.subject.name, f.hit.path))
        )
        for group, found in parts.items()
    }


def _group(grouped: dict[GroupKey, dict[SameHit, ReportedHit]], one: ReportedHit) -> bool:
    """Put a hit with the others of its check and subject; whether it was not among them."""
    hits = grouped.setdefault(one.group, {})
    return hits.setdefault(one.same_hit, one) is one


def home_of(ref: Ref) -> str | None:
    """The namespace in which findings on an object are stored; None for cluster scope."""
    return ref.name if (ref.group, ref.kind) == ("", "Namespace") else ref.namespace
