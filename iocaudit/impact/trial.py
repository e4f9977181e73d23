"""Objects judged as if each were made anew now, by one user, as the webhook would judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.report import Report
from iocaudit.core.request import AUTHENTICATED, Operation, Request, groups_of
from iocaudit.core.resource import Origin, Ref, Resource
from iocaudit.engine.audit import Auditor
from iocaudit.engine.completion import judge_completed, without_repeats
from iocaudit.engine.kept import AuditedObject, Interner, keep
from iocaudit.engine.own_install import judge_own_install
from iocaudit.engine.owners import lineage
from iocaudit.engine.posture import Verdict, join, judge, spare
from iocaudit.engine.setting import OnExisting, Setting
from iocaudit.judging.review import hits_by_themselves
from iocaudit.knowledge.controllers import CONTROLLERS, OWNERS, account_of
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE

ANYBODY = Request(Operation.CREATE, "", (AUTHENTICATED,))
"""A user whom nothing is known of but that there is one."""
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


class _ControlledObject(NamedTuple):
    """What a controller may have made: judged once its owners are known. ``report`` None: nothing of it is denied."""

    kept: AuditedObject
    origin: Origin
    verdict: Verdict
    report: Report | None
    settings: dict[str, Setting]
    request: Request


class Trial:
    """Takes objects one by one; ``conclude`` once there are no more.

    ``denied`` are those that would be denied anew, or that do not go on. Of the ``unaffected``, so many are ``warned``
    about. ``request`` says who makes them: what a controller made, that controller would make anew.
    """

    def __init__(self, auditor: Auditor, request: Request = ANYBODY) -> None:
        self._auditor, self._request = auditor, request
        rules = auditor.catalogue.admission_rules
        self.kinds = frozenset(kind for kind, wanted in rules.items() if Operation.CREATE in wanted)
        self._intern = Interner()
        self._kept: dict[str, AuditedObject] = {}
        self._owners: dict[str, _Owner] = {}
        self._made: list[_ControlledObject] = []
        self._by_uid: dict[str, TriedObject] = {}
        self.denied: list[TriedObject] = []
        self.unaffected = 0
        self.warned = 0

    def take(self, resource: Resource) -> Verdict | None:
        """Judge an object; None where the webhook is not asked about its kind."""
        kind = resource.kind
        if kind is None or kind not in self.kinds or resource.group == GROUP:
            return None
        request = _maker(resource) or self._request
        settings = self._auditor.settings_for(resource, request)
        report, verdict = _judge_made(resource, self._auditor, request, settings)
        if kind.pods and resource.uid:
            kept = self._kept[resource.uid] = keep(resource, report, self._intern, patches=False)
            if kind in OWNERS:
                self._owners[resource.uid] = _Owner(resource, report)
            if kept.controller is not None:
                denied = None if verdict.allowed else report
                self._made.append(_ControlledObject(kept, resource.origin, verdict, denied, settings, request))
                return verdict
        self._count(resource.ref, resource.origin, verdict, settings, resource.uid, kind)
        return verdict

    def _count(
        self, ref: Ref, origin: Origin, verdict: Verdict, settings: Mapping[str, Setting], uid: str, kind: Kind
    ) -> None:
        if verdict.allowed:
            self.unaffected += 1
            self.warned += bool(verdict.warnings)
            return
        found = TriedObject(ref, origin, verdict)
        strict = (settings[one.check].existing is OnExisting.DENY for one in verdict.denials if one.check in settings)
        if kind in OWNERS and any(strict):
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
                verdict = self._by_owners(one, one.report, [self._owners[owner.uid] for owner in owners])
                if not verdict.allowed:
                    self._stop(owners[-1], one, verdict)
        self.denied.sort(key=lambda one: (one.ref.namespace or "", one.ref.kind, one.ref.name, _place(one.origin)))

    def _by_owners(self, made: _ControlledObject, report: Report, owners: list[_Owner]) -> Verdict:
        """What is there in a template by itself is there already; with anything else nothing is spared."""
        settings, request = made.settings, made.request
        reports = [self._report_on(owner, settings, request) for owner in owners]
        there = frozenset(found.in_template for one in reports for found in one.found)
        alone = hits_by_themselves((owner.resource for owner in owners), settings, self._auditor, request)
        return judge(report, settings, request, owners=reports, unspared=there - alone)

    def _report_on(self, owner: _Owner, settings: dict[str, Setting], request: Request) -> Report:
        """What a template has by the settings for what is made of it: seldom others than its own."""
        if self._auditor.settings_for(owner.resource, self._request) is settings:
            return owner.report
        return self._auditor.audit(owner.resource, request=request, settings=settings)

    def _stop(self, owner: AuditedObject, made: _ControlledObject, verdict: Verdict) -> None:
        found = self._by_uid.get(owner.uid)
        if found is None:
            found = self._by_uid[owner.uid] = TriedObject(owner.ref, made.origin, verdict, anew=False)
            self.denied.append(found)
            self.unaffected -= 1
        found.stops.append(f"{made.kept.ref} would be denied if it were made anew")


def _maker(resource: Resource) -> Request | None:
    """The request by which one of the cluster's controllers would make an object; None where none made it."""
    reference = resource.controller
    if reference is None or resource.kind is None:
        return None
    for owner, name in CONTROLLERS.get(resource.kind, {}).items():
        if (reference.get("apiVersion"), reference.get("kind")) == (owner.api_version, owner.name):
            account = account_of(name)
            return Request(Operation.CREATE, account, groups_of(account))
    return None


def _judge_made(
    resource: Resource, auditor: Auditor, request: Request, settings: dict[str, Setting]
) -> tuple[Report, Verdict]:
    """The audit of an object as it is made, and the verdict on it."""
    report = auditor.audit(resource, request=request, settings=settings)
    verdict = judge(report, settings, request)
    completed = judge_completed(resource, None, auditor, request)
    if completed is not None:
        verdict = join((verdict, without_repeats(completed, report)))
    verdict = judge_own_install(resource, None, request, verdict, auditor)
    # No webhook that denies is asked about what is made there.
    home = resource.home
    return report, spare(verdict, "system") if home in (ADMIN_NAMESPACE, auditor.world.own_namespace) else verdict


def _place(origin: Origin) -> tuple[str, int, str]:
    return (origin.file or "", origin.document, origin.item)
