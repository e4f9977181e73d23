"""What a report means for a request: the only place that knows deny, warn and audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from iocaudit.core.report import Fault, Report, ReportedHit, SameHit, Skipped, WaivedHit
from iocaudit.core.request import Request
from iocaudit.engine.introduced import ExistingHits, ImageComparison, IntroducedHits
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import Setting

_T = TypeVar("_T", Fault, Skipped)


class RootCauses(NamedTuple):
    """The denials and the warnings that are named: those of which no other is the cause."""

    denials: tuple[ReportedHit, ...]
    warnings: tuple[ReportedHit, ...]


class Verdict(NamedTuple):
    """The outcome for one request. ``reasons`` of a denial are all of them, worst first.

    ``waived`` are hits that a waiver covers. ``refusal`` says why an object of our own kinds cannot be used, one reason
    a line, ``notes`` what its author should know, ``recorded`` what is kept of it as evidence though it is
    allowed.
    ``told`` are the causes among denials and warnings, where someone worked them out.
    ``observed`` are hits that neither deny nor warn, by check, ``unsaid`` what was not evaluated of checks whose hits
    would do neither. ``spared`` maps why a denial was turned into a warning
    (``aggregation``, ``exempt``, ``existing``, ``own``, ``system``) to the hits it spared. ``bound_by`` maps a check
    that denies to the policy for some requests alone by which it does: what is recorded may know nothing of the hit.
    """

    allowed: bool
    denials: tuple[ReportedHit, ...] = ()
    warnings: tuple[ReportedHit, ...] = ()
    observed: tuple[ReportedHit, ...] = ()
    fault_denials: tuple[Fault, ...] = ()
    faults: tuple[Fault, ...] = ()
    incomplete_denials: tuple[Skipped, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    spared: Mapping[str, tuple[ReportedHit, ...]] = MappingProxyType({})
    waived: tuple[WaivedHit, ...] = ()
    refusal: str = ""
    notes: tuple[str, ...] = ()
    recorded: tuple[ReportedHit, ...] = ()
    unsaid: tuple[Skipped, ...] = ()
    bound_by: Mapping[str, str] = MappingProxyType({})
    told: RootCauses | None = None

    @property
    def causes(self) -> RootCauses:
        """What to name of the denials and the warnings."""
        return self.told if self.told is not None else RootCauses(self.denials, self.warnings)


_NOTHING = Verdict(allowed=True)
_NONE: tuple[tuple[()], tuple[()]] = ((), ())


def judge(
    report: Report,
    settings: Mapping[str, Setting],
    request: Request,
    *,
    old: Report | None = None,
    owners: Sequence[Report] = (),
    unspared: Set[SameHit] = frozenset(),
    leaves: ImageComparison | None = None,
) -> Verdict:
    """Judge a request by the audit of its object.

    ``old`` is the audit of the object as it was (UPDATE): what it has too was not introduced and never denies. A hit
    that was there by a waiver's leave alone is introduced by a change that leaves the waiver. ``leaves`` tells that of
    what waivers of its owners let be.

    ``owners`` are the audits of the verified owners' stored templates that run, for what a controller makes: where
    the policy says ``existing: warn`` and every hit is already in them, nothing is denied, so draining a node or
    restarting a rollout does not kill what ran before; ``unspared`` are hits for which that does not hold.
    """
    if not (report.found or report.faults or report.skipped):
        return Verdict(allowed=True, waived=tuple(report.waived)) if report.waived else _NOTHING
    denials: list[ReportedHit] = []
    warnings: list[ReportedHit] = []
    observed: list[ReportedHit] = []
    exempt: list[ReportedHit] = []
    existing: list[ReportedHit] = []
    bound_by: dict[str, str] = {}
    is_introduced, is_existing = IntroducedHits(report, old, leaves), ExistingHits(report, owners, unspared)
    for found in report.found:
        setting = settings[found.check]
        mode = setting.mode_for(found.severity)
        new = is_introduced(found, setting) if mode in (Mode.DENY, Mode.WARN) else None
        if new is None:
            observed.append(found)
        elif mode is Mode.WARN:
            warnings.append(new)
        elif setting.exempts(request):
            exempt.append(new)
            warnings.append(new)
        elif is_existing(found, setting):
            existing.append(new)
            warnings.append(new)
        else:
            denials.append(new)
            if setting.by_request and setting.policy is not None:
                bound_by[found.check] = setting.policy
    faults, fault_denials = (
        _divided(report.faults, settings, request, lambda setting: setting.on_fault) if report.faults else _NONE
    )
    skipped, incomplete = (
        _divided(report.skipped, settings, request, lambda setting: setting.on_incomplete) if report.skipped else _NONE
    )
    skipped, unsaid = _worth_saying(skipped, settings) if skipped else _NONE
    spared = {name: tuple(hits) for name, hits in (("exempt", exempt), ("existing", existing)) if hits}
    return Verdict(
        allowed=not (denials or fault_denials or incomplete),
        denials=_worst_first(denials),
        warnings=_worst_first(warnings),
        observed=tuple(observed),
        fault_denials=fault_denials,
        faults=faults,
        incomplete_denials=incomplete,
        skipped=skipped,
        spared=spared,
        waived=tuple(report.waived),
        unsaid=unsaid,
        bound_by=bound_by,
    )


def join(every: Sequence[Verdict]) -> Verdict:
    """One verdict of several on one request: what any of them denies is denied."""
    if len(every) == 1:
        return every[0]
    spared: dict[str, tuple[ReportedHit, ...]] = {}
    for one in every:
        for why, found in one.spared.items():
            spared[why] = (*spared.get(why, ()), *found)
    return Verdict(
        allowed=all(one.allowed for one in every),
        denials=_worst_first([found for one in every for found in one.denials]),
        warnings=_worst_first([found for one in every for found in one.warnings]),
        observed=tuple(found for one in every for found in one.observed),
        fault_denials=tuple(fault for one in every for fault in one.fault_denials),
        faults=tuple(fault for one in every for fault in one.faults),
        incomplete_denials=tuple(skipped for one in every for skipped in one.incomplete_denials),
        skipped=tuple(skipped for one in every for skipped in one.skipped),
        spared=spared,
        waived=tuple(waived for one in every for waived in one.waived),
        refusal=next((one.refusal for one in every if one.refusal), ""),
        notes=tuple(note for one in every for note in one.notes),
        recorded=tuple(found for one in every for found in one.recorded),
        unsaid=tuple(skipped for one in every for skipped in one.unsaid),
        bound_by={check: policy for one in every for check, policy in one.bound_by.items()},
    )


def spare(verdict: Verdict, why: str) -> Verdict:
    """The same without its denials: they become warnings, and ``spared`` says why."""
    if verdict.allowed:
        return verdict
    return Verdict(
        allowed=True,
        warnings=_worst_first([*verdict.denials, *verdict.warnings]),
        observed=verdict.observed,
        faults=(*verdict.faults, *verdict.fault_denials),
        skipped=(*verdict.skipped, *verdict.incomplete_denials),
        spared={**verdict.spared, why: verdict.denials} if verdict.denials else verdict.spared,
        waived=verdict.waived,
        notes=(*verdict.notes, *verdict.refusal.splitlines()),
        recorded=verdict.recorded,
        unsaid=verdict.unsaid,
    )


def _worst_first(found: list[ReportedHit]) -> tuple[ReportedHit, ...]:
    if len(found) > 1:
        found.sort(key=lambda f: (-f.severity, f.check, f.hit.path, f.hit.evidence))
    return tuple(found)


def _worth_saying(
    skipped: Iterable[Skipped], settings: Mapping[str, Setting]
) -> tuple[tuple[Skipped, ...], tuple[Skipped, ...]]:
    """What was not evaluated, and may have denied or warned; and the rest, of which nobody would have been told."""
    told: list[Skipped] = []
    unsaid: list[Skipped] = []
    for one in skipped:
        setting = settings.get(one.check) if one.check else None
        (told if setting is None or setting.can_warn else unsaid).append(one)
    return tuple(told), tuple(unsaid)


def _divided(
    given: Iterable[_T], settings: Mapping[str, Setting], request: Request, word: Callable[[Setting], str]
) -> tuple[tuple[_T, ...], tuple[_T, ...]]:
    """Those that let the request pass, and those that deny it: where the policy's ``word`` for them is deny."""
    denied: list[_T] = []
    kept: list[_T] = []
    for one in given:
        setting = settings.get(one.check) if one.check else None
        denies = setting is not None and word(setting) == "deny" and setting.can_deny and not setting.exempts(request)
        (denied if denies else kept).append(one)
    return tuple(kept), tuple(denied)
