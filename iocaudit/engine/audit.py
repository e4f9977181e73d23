"""Run the checks of a catalogue over subjects in a world.

What raises becomes a Fault, what lacks a needed kind becomes Skipped, what lacks a parameter is
notConfigured: nothing passes silently.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cache, partial
from typing import NamedTuple, Protocol

from iocaudit.core.check import EXEMPT_IMAGES, Check
from iocaudit.core.check_doc import doc_of
from iocaudit.core.controllers import CONTROLLERS
from iocaudit.core.credential import evidence_of, redacted
from iocaudit.core.errors import DeadlineExceeded, IncompleteError
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.image import ImagePatterns
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.place import Within
from iocaudit.core.pod import PodSpec
from iocaudit.core.pod_images import ImageIndex, Images
from iocaudit.core.report import Fault, Found, Report, SameHit, Skipped, Waived
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Origin, Ref, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.within import PodParts
from iocaudit.core.world import World
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.denials import PolicyDenials
from iocaudit.engine.introduced import Leaves
from iocaudit.engine.policy import Mode, PolicySet, Setting

Clock = Callable[[], float]


class Accept(Protocol):
    """Says of a hit on a resource at home in a namespace (None: in cluster scope) whether a waiver covers it.

    ``images`` looks up those behind the hit: few waivers ask. ``left`` says whether other images leave what a waiver
    for the check accepts there.
    """

    def __call__(
        self, found: Found, home: str | None, resource: Resource, images: Callable[[], Images]
    ) -> Waived | None: ...

    def left(self, check: str, home: str | None, before: Images, now: Images) -> bool: ...


_MOST_PLANS = 10_000
_MOST_COMBINATIONS = 500
_NO_FIELDS: frozenset[str] = frozenset()
_LATE = "the audit ran out of time"
_TOO_DEEP = "the object nests too deep"


class Deadline(NamedTuple):
    """A moment on a monotonic clock after which an audit gives up."""

    at: float
    clock: Clock = time.monotonic

    @classmethod
    def within(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)


def _no_clock() -> float:
    """The clock of an audit that may take as long as it likes."""
    return 0.0


@cache
def _default_fix(check: Check) -> str:
    return doc_of(check).fix


class _Step(NamedTuple):
    """A check ready to run in one place: all that can be settled before the object is known."""

    check: Check
    needs: tuple[Kind, ...]
    severity: Severity | None
    run: Callable[..., Iterator[Hit | Skip]]
    wants_request: bool
    whole: bool
    """Whether it takes an object that holds pods as a whole."""
    exempt: ImagePatterns | None
    """The images whose containers the check must not see."""
    mode_for: Callable[[Severity], Mode]
    """What the policy does with a hit."""
    fields: frozenset[str]
    """What a pod has to set one of for the check to have anything to say; empty: it always may."""

    def choose(self, subjects: Sequence[PodSpec | Resource], resource: Resource) -> Sequence[PodSpec | Resource]:
        """What the check is handed of an object, in place of its pods."""
        exempt = self.exempt
        if self.whole or exempt is None:
            return (resource,)
        return [one.without(exempt) if isinstance(one, PodSpec) else one for one in subjects]


class _Plan:
    """What runs for one kind under one set of settings; ``settings`` keeps the cache's key alive."""

    __slots__ = ("_asked", "_by_fields", "not_configured", "settings", "steps")

    def __init__(
        self,
        settings: Mapping[str, Setting],
        steps: tuple[_Step, ...],
        not_configured: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.settings = settings
        self.steps = steps
        self.not_configured = not_configured
        self._asked = frozenset[str]().union(*(step.fields for step in steps))
        self._by_fields: dict[frozenset[str], tuple[_Step, ...]] = {}

    def concerned(self, fields: Set[str]) -> tuple[_Step, ...]:
        """The steps that may have something to say of pods which set these fields; few combinations are seen."""
        asked = self._asked & fields
        kept = self._by_fields.get(asked)
        if kept is None:
            if len(self._by_fields) >= _MOST_COMBINATIONS:
                self._by_fields.clear()
            steps = (step for step in self.steps if not step.fields or step.fields & asked)
            kept = self._by_fields[asked] = tuple(steps)
        return kept


class Auditor:
    """Audits resources one by one under a policy; a door keeps one as long as its policies hold."""

    def __init__(self, catalogue: Catalogue, policies: PolicySet, world: World, accept: Accept | None = None) -> None:
        """``accept`` is asked of each hit whether a waiver covers it, and which."""
        self.catalogue = catalogue
        self.policies = policies
        self.world = world
        self._accept = accept
        self._denials = PolicyDenials(policies, world)
        self._namespaces = world
        self._plans: dict[tuple[Kind, int, Operation | None], _Plan] = {}

    def seeing(self, world: World, catalogue: Catalogue | None = None, *, waivers: bool = True) -> Auditor:
        """One that looks things up in another world, be it for some checks only; policies hold as they do here."""
        other = Auditor(catalogue or self.catalogue, self.policies, world, self._accept if waivers else None)
        other._namespaces, other._denials = self._namespaces, self._denials
        return other

    def settings_for(self, resource: Resource) -> dict[str, Setting]:
        """What holds for each check at the resource's home."""
        home = self.home_of(resource)
        return self.policies.settings(home, self._labels(home))

    def home_of(self, resource: Resource) -> str | None:
        """The namespace whose policy decides; a file that leaves the namespace out means the default one."""
        if resource.kind is NAMESPACE:
            return resource.name
        if resource.kind is not None and not resource.kind.namespaced:
            return None
        return resource.namespace or self.world.default_namespace

    def _labels(self, namespace: str | None) -> dict[str, str]:
        if namespace is None or not self.policies.selects_by_label:
            return {}
        found = self._namespaces.get(NAMESPACE, None, namespace)
        return found.labels if found is not None else {}

    def _plan(self, kind: Kind, settings: dict[str, Setting], operation: Operation | None) -> _Plan:
        key = (kind, id(settings), operation)
        kept = self._plans.get(key)
        if kept is not None:
            return kept
        steps = []
        lacking = {}
        for check in self.catalogue.for_kind(kind):
            setting = settings.get(check.id)
            if setting is None or (check.audit_only if operation is not None else check.admission_only):
                continue
            if operation is not None and operation not in check.operations:
                continue
            if missing := setting.missing:
                lacking[check.id] = missing
                continue
            handed = {"world": self.world, "params": setting.params, "guard": self._denials}
            given = {name: handed[name] for name in check.handed if name in handed}
            run = partial(check.function, **given)
            images = setting.params.get(EXEMPT_IMAGES.name) if check.on_pods else None
            exempt = ImagePatterns.of(tuple(images)) if images else None
            whole = bool(kind.pods) and not check.on_pods
            wants = "request" in check.handed
            mode_for, severity = setting.mode_for, setting.severity
            steps.append(_Step(check, check.needs, severity, run, wants, whole, exempt, mode_for, check.fields))
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        plan = self._plans[key] = _Plan(settings, tuple(steps), lacking)
        return plan

    def audit(
        self,
        resource: Resource,
        *,
        request: Request | None = None,
        deadline: Deadline | None = None,
    ) -> Report:
        """Every hit on one resource. With a request it is an admission, without one an audit of what is there."""
        kind = resource.kind
        report = Report(audited=int(kind is not None))
        if kind is None or not self.catalogue.for_kind(kind):
            return report
        plan = self._plan(kind, self.settings_for(resource), request.operation if request is not None else None)
        report.not_configured.update(plan.not_configured)
        subjects: Sequence[PodSpec | Resource] = (resource,)
        shared = False
        ref, origin = resource.ref, resource.origin
        if kind.pods:
            try:
                pods = subjects = resource.pods
            except RecursionError:
                report.faults += (Fault(step.check.id, ref, _TOO_DEEP, origin) for step in plan.steps)
                return report
            report.images = ImageIndex(resource)
            for pod in pods:
                if pod.refused:
                    report.faults += (Fault(step.check.id, ref, pod.refused, origin) for step in plan.steps)
                    return report
                for problem in pod.problems:
                    reason = f"{problem.path} is not {problem.expected}, so it was not audited"
                    report.skipped.append(Skipped(None, ref, reason, origin))
            shared = len(pods) > 1 or any(pod.moved is not None for pod in pods)
        if resource.lacks:
            self._say_what_it_lacks(report, resource, plan, request)
        fields = pods[0].fields.union(*(pod.fields for pod in pods[1:])) if kind.pods and pods else _NO_FIELDS
        complete = self.world.complete_for(resource)
        clock, end = (deadline.clock, deadline.at) if deadline is not None else (_no_clock, 1.0)
        places: list[_At] = []
        asking: dict[str, Check] = {}
        # A hundred checks run here for each object: what can be settled before the loop is. What cannot be known
        # is said of every check that lacks it.
        for step in plan.concerned(fields) if complete else plan.steps:
            if not complete and step.needs and (lacking := self._incomplete(step.needs, resource)):
                report.skipped.append(Skipped(step.check.id, ref, lacking, origin))
                continue
            if not complete and step.fields and step.fields.isdisjoint(fields):
                continue
            if clock() >= end:
                report.faults.append(Fault(step.check.id, ref, _LATE, origin))
                continue
            run = partial(step.run, request=request) if step.wants_request else step.run
            try:
                for subject in step.choose(subjects, resource) if step.whole or step.exempt else subjects:
                    for hit in run(subject):
                        if isinstance(hit, Hit):
                            places.append((subject, hit.path))
                            if step.check.implies_in_pods:
                                asking[step.check.id] = step.check
                            if shared and isinstance(subject, PodSpec):
                                hit = subject.settled(hit)
                            report.found.append(_found(step, hit, ref, origin))
                        else:
                            report.skipped.append(Skipped(step.check.id, ref, redacted(hit.reason), origin))
                        # Between hits too: an object of megabytes can have tens of thousands of them.
                        if clock() >= end:
                            raise DeadlineExceeded(_LATE)
                # Of a kind it only uses, most of it was there to be judged.
                if not complete and step.check.uses and (lacking := self._lacking(step.check.uses, resource)):
                    report.skipped.append(Skipped(step.check.id, ref, lacking, origin))
            except DeadlineExceeded as error:
                report.faults.append(Fault(step.check.id, ref, str(error), origin))
            except IncompleteError as error:
                report.skipped.append(Skipped(step.check.id, ref, str(error), origin))
            except Exception as error:  # noqa: BLE001  a check's error is data here: a Fault, judged by onFault
                text = redacted(f"{type(error).__name__}: {error}")
                report.faults.append(Fault(step.check.id, ref, text, origin))
        if asking and len(places) > 1:
            report.found = _within(report.found, places, asking)
        if shared:
            report.found = _once(report.found)
            report.skipped = list(dict.fromkeys(report.skipped))
        if self._accept is not None and report.found:
            self._waive(report, resource, self._accept)
        return report

    def _waive(self, report: Report, resource: Resource, accept: Accept) -> None:
        home, kept = self.home_of(resource), []
        for found in report.found:
            waived = accept(found, home, resource, partial(_images, report, found))
            if waived is None:
                kept.append(found)
            else:
                report.waived.append(waived)
        report.found = kept

    def inherit(self, report: Report, owners: Iterable[tuple[Resource, Report]]) -> frozenset[SameHit]:
        """Move the hits of what a controller made that a verified owner's waiver covers to ``waived``.

        The waiver is asked for the owner's own hit, the same check, path and evidence, and by the images that
        would really run: a template between the two may name others. Returned are the hits that it is not for then,
        by ``in_template``.
        """
        accept = self._accept
        covered = {waived.found.in_template: (waived, owner) for owner, audited in owners for waived in audited.waived}
        if accept is None or not covered:
            return frozenset()
        kept: list[Found] = []
        left: set[SameHit] = set()
        for found in report.found:
            waived, owner = covered.get(found.in_template, (None, None))
            if waived is not None and owner is not None:
                waived = accept(waived.found, self.home_of(owner), owner, partial(_images, report, found))
                if waived is None:
                    left.add(found.in_template)
            if waived is None:
                kept.append(found)
            else:
                report.waived.append(waived._replace(found=found))
        report.found = kept
        return frozenset(left)

    def leaves(self, resource: Resource) -> Leaves | None:
        """Tells whether what a controller makes leaves the images that a waiver is for, whichever owner it names.

        Only the waiver's own object is asked by its name: a pod or a ReplicaSet is judged by its owner's waiver, and
        whose it is can be changed along with its images. None where there is nothing to leave.
        """
        accept = self._accept
        if accept is None or resource.kind not in CONTROLLERS:
            return None
        home = self.home_of(resource)
        return lambda found, before, now: before != now and accept.left(found.check, home, before, now)

    @staticmethod
    def _say_what_it_lacks(report: Report, resource: Resource, plan: _Plan, request: Request | None) -> None:
        """No check can say that there is nothing in what it was not shown; what is asked now is judged by onFault."""
        reason = f"the object was not read whole: {resource.lacks}"
        if request is None:
            report.skipped.append(Skipped(None, resource.ref, reason, resource.origin))
        else:
            report.faults += (Fault(step.check.id, resource.ref, reason, resource.origin) for step in plan.steps)

    def _lacking(self, uses: tuple[Kind, ...], asking: Resource) -> str | None:
        """Why an object that a check may have used is not known whole; of kinds that are not, the check says so."""
        complete = (kind for kind in uses if self.world.incomplete(kind) is None)
        return next((why for kind in complete if (why := self.world.incomplete(kind, asking))), None)

    def _incomplete(self, needs: tuple[Kind, ...], asking: Resource) -> str | None:
        for kind in needs:
            reason = self.world.incomplete(kind, asking)
            if reason is not None:
                return f"needs all {kind.plural} of the cluster: {reason}"
        return None


def _images(report: Report, found: Found) -> Images:
    return report.behind(found).images


def _found(step: _Step, hit: Hit, ref: Ref, origin: Origin) -> Found:
    check = step.check
    severity = step.severity or hit.severity or check.severity
    weight = step.mode_for(severity).weight
    return Found(check.id, severity, check.iocs, ref, origin, _withheld(hit), _default_fix(check), None, weight)


def _withheld(hit: Hit) -> Hit:
    """The hit without a credential of a known format, in whatever value of the object it stood."""
    message, evidence = redacted(hit.message), evidence_of(hit.evidence)
    if message is hit.message and evidence is hit.evidence:
        return hit
    return hit._replace(message=message, evidence=evidence)


_At = tuple[PodSpec | Resource, str]
"""What a check was handed, and the path of a hit as it said it."""


def _within(found: list[Found], places: Iterable[_At], asking: Mapping[str, Check]) -> list[Found]:
    """The hits with the parts of their pods that they are about, where those ``asking`` may imply them."""
    parts: dict[int, PodParts] = {}
    concerned = {*asking, *(name for check in asking.values() for name in check.implies)}
    settled = []
    for one, (subject, path) in zip(found, places, strict=True):
        if one.hit.within is None and one.check in concerned and isinstance(subject, PodSpec):
            known = parts.get(id(subject))
            if known is None:
                known = parts[id(subject)] = PodParts(subject)
            one = one._replace(hit=one.hit._replace(within=known.behind(path)))
        settled.append(one)
    return settled


def _once(found: list[Found]) -> list[Found]:
    """Each hit once, at its worst: pods that share a part of an object have its hits in common."""
    kept: dict[tuple[str, str, str], Found] = {}
    for one in found:
        key = (one.check, one.hit.path, one.hit.evidence)
        known = kept.get(key)
        if known is None:
            kept[key] = one
            continue
        worse = one if one.severity > known.severity else known
        kept[key] = worse._replace(hit=worse.hit._replace(within=_both(known.hit.within, one.hit.within)))
    return list(kept.values())


def _both(one: Within | None, other: Within | None) -> Within | None:
    """What a hit is about that pods share: the containers of each."""
    if one is None or other is None or one == other:
        return one or other
    containers = tuple(dict.fromkeys((*one.containers, *other.containers)))
    return Within(one.pod if one.pod == other.pod else "", containers, one.volume if one.volume == other.volume else "")


def audit(subjects: Iterable[Resource], auditor: Auditor, *, deadline: Deadline | None = None) -> Report:
    """Audit many resources as they are stored; the report is sorted."""
    report = Report()
    for resource in subjects:
        report.extend(auditor.audit(resource, deadline=deadline))
    return report.sorted()
