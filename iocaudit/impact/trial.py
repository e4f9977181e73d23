"""Objects judged as if each were made anew now, by a user whom nothing exempts, as the webhook would judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from iocaudit.core.controllers import CONTROLLERS
from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.core.report import Report, SameHit
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Origin, Ref, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.completion import judge_completed, without_repeats
from iocaudit.engine.kept import Interner, Kept, keep
from iocaudit.engine.own_install import judge_own_install
from iocaudit.engine.owners import lineage
from iocaudit.engine.policy import Existing, Setting
from iocaudit.engine.posture import Verdict, join, judge, spare

ANYBODY = Request(Operation.CREATE, "")
_OWNERS = frozenset(owner for owners in CONTROLLERS.values() for owner in owners)
_STRICT = "what its controller makes of it anew would be denied: its policy says existing: deny"


@dataclass(slots=True)
class TriedObject:
    """An object that would be denied if it were made anew, or of which something would be.

    ``anew``: whether the object itself would be denied. ``stops`` says why what runs of it does not go on as it is.
    """

    ref: Ref
    origin: Origin
    verdict: Verdict
    anew: bool = True
    stops: list[str] = field(default_factory=list)


class _Owner(NamedTuple):
    """What a controller makes other objects of."""

    resource: Resource
    report: Report


class _Made(NamedTuple):
    """What a controller may have made: judged once its owners are known. ``report`` None: nothing of it is denied."""

    kept: Kept
    origin: Origin
    verdict: Verdict
    report: Report | None
    settings: Mapping[str, Setting]


class Trial:
    """Takes objects one by one; ``conclude`` once there are no more.

    ``denied`` are those that would be denied anew, or that do not go on. Of the ``unaffected``, so many are ``warned``
    about.
    """

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor
        rules = auditor.catalogue.admission_rules()
        self.kinds = frozenset(kind for kind, wanted in rules.items() if Operation.CREATE in wanted)
        self._intern = Interner()
        self._kept: dict[str, Kept] = {}
        self._owners: dict[str, _Owner] = {}
        self._made: list[_Made] = []
        self._by_uid: dict[str, TriedObject] = {}
        self.denied: list[TriedObject] = []
        self.unaffected = 0
        self.warned = 0

    def take(self, resource: Resource) -> Verdict | None:
        """Judge an object; None where the webhook is not asked about its kind."""
        kind = resource.kind
        if kind is None or kind not in self.kinds or resource.group == GROUP:
            return None
        report, verdict = judge_made(resource, self._auditor)
        if kind.pods and resource.uid:
            kept = self._kept[resource.uid] = keep(resource, report, self._intern, patches=False)
            if kind in _OWNERS:
                self._owners[resource.uid] = _Owner(resource, report)
            if kept.controller is not None:
                settings = self._auditor.settings_for(resource)
                denied = None if verdict.allowed else report
                self._made.append(_Made(kept, resource.origin, verdict, denied, settings))
                return verdict
        self._count(resource.ref, resource.origin, verdict, self._auditor.settings_for(resource), resource.uid, kind)
        return verdict

    def _count(
        self, ref: Ref, origin: Origin, verdict: Verdict, settings: Mapping[str, Setting], uid: str, kind: Kind
    ) -> None:
        if verdict.allowed:
            self.unaffected += 1
            self.warned += bool(verdict.warnings)
            return
        found = TriedObject(ref, origin, verdict)
        strict = (settings[one.check].existing is Existing.DENY for one in verdict.denials if one.check in settings)
        if kind in _OWNERS and any(strict):
            found.stops.append(_STRICT)
        self.denied.append(found)
        if uid:
            self._by_uid[uid] = found

    def conclude(self) -> None:
        """Judge what controllers made by the templates of its owners, as what was there before."""
        for one in self._made:
            owners = [owner for owner in lineage(one.kept, self._kept.get) if owner.uid in self._owners]
            if not owners:
                self._count(one.kept.ref, one.origin, one.verdict, one.settings, one.kept.uid, one.kept.kind)
            elif one.report is not None:
                verdict = self._by_owners(one.report, one.settings, [self._owners[owner.uid] for owner in owners])
                if not verdict.allowed:
                    self._stop(owners[-1], one, verdict)
        self.denied.sort(key=lambda one: (one.ref.namespace or "", one.ref.kind, one.ref.name, _place(one.origin)))

    def _by_owners(self, report: Report, settings: Mapping[str, Setting], owners: list[_Owner]) -> Verdict:
        """What is there in a template by itself is there already; with anything else nothing is spared."""
        there = frozenset(found.in_template for owner in owners for found in owner.report.found)
        world = self._auditor.world
        bare = World(default_namespace=world.default_namespace, own_namespace=world.own_namespace)
        alone = self._auditor.seeing(bare, waivers=False)
        by_itself: set[SameHit] = set()
        for owner in owners:
            by_itself |= {found.in_template for found in alone.audit(owner.resource, request=ANYBODY).found}
        reports = [owner.report for owner in owners]
        return judge(report, settings, ANYBODY, owners=reports, unspared=there - by_itself)

    def _stop(self, owner: Kept, made: _Made, verdict: Verdict) -> None:
        found = self._by_uid.get(owner.uid)
        if found is None:
            found = self._by_uid[owner.uid] = TriedObject(owner.ref, made.origin, verdict, anew=False)
            self.denied.append(found)
            self.unaffected -= 1
        found.stops.append(f"{made.kept.ref} would be denied if it were made anew")


def judge_made(resource: Resource, auditor: Auditor) -> tuple[Report, Verdict]:
    """The audit of an object as it is made, and the verdict on it."""
    report = auditor.audit(resource, request=ANYBODY)
    verdict = judge(report, auditor.settings_for(resource), ANYBODY)
    completed = judge_completed(resource, None, auditor, ANYBODY)
    if completed is not None:
        verdict = join((verdict, without_repeats(completed, report)))
    verdict = judge_own_install(resource, None, ANYBODY, verdict, auditor)
    # No webhook that denies is asked about what is made there.
    home = resource.home
    return report, spare(verdict, "system") if home in (ADMIN_NAMESPACE, auditor.world.own_namespace) else verdict


def _place(origin: Origin) -> tuple[str, int, str]:
    return (origin.file or "", origin.document, origin.item)
