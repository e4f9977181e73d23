"""Run the checks of a catalogue over subjects in a world.

What raises becomes a Fault, what lacks a needed kind becomes Skipped, what lacks a parameter is
notConfigured: nothing passes silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Protocol

from iocaudit.core.check import Check
from iocaudit.core.images_behind import Images
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.parameters import EXEMPT_IMAGES
from iocaudit.core.report import Report, ReportedHit, SameHit, WaivedHit
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.crashes import Crashes
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.denials import PolicyDenials
from iocaudit.engine.introduced import ImageComparison
from iocaudit.engine.object_audit import ObjectAudit
from iocaudit.engine.plan import AuditPlan, PlannedCheck, PlannedRule
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.setting import Setting
from iocaudit.knowledge.controllers import CONTROLLERS
from iocaudit.knowledge.image import ImagePatterns

if TYPE_CHECKING:
    from iocaudit.engine.languages.asking import AnswerSource


class HitAcceptor(Protocol):
    """Says of a hit on a resource at home in a namespace (None: in cluster scope) whether a waiver covers it.

    ``images`` looks up those behind the hit: few waivers ask. ``left`` says whether other images leave what a waiver
    for the check accepts there.
    """

    def __call__(
        self, found: ReportedHit, home: str | None, resource: Resource, images: Callable[[], Images]
    ) -> WaivedHit | None: ...

    def left(self, check: str, home: str | None, before: Images, now: Images) -> bool: ...


_MOST_PLANS = 10_000


class Auditor:
    """Audits resources one by one under a policy; a door keeps one as long as its policies hold."""

    def __init__(
        self,
        catalogue: Catalogue,
        policies: PolicySet,
        world: World,
        accept: HitAcceptor | None = None,
        answers: AnswerSource | None = None,
    ) -> None:
        """``accept`` is asked of each hit whether a waiver covers it, and which; ``answers`` what rules say that are
        written in languages of their own: without it each of them is a Fault.
        """
        self._given = catalogue
        self.catalogue = catalogue.also(policies.declared)
        self.policies = policies
        self.world = world
        self._accept = accept
        self._answers = answers
        self._denials = PolicyDenials(policies, world)
        self._namespaces = world
        self.crashes = Crashes()
        self._plans: dict[tuple[Kind, int, Operation | None], AuditPlan] = {}

    def asking(self, answers: AnswerSource) -> Auditor:
        """The same, with answers from elsewhere: those of one request, say. What it has planned is shared."""
        other = copy(self)
        other._answers = answers
        return other

    def seeing(self, world: World, catalogue: Catalogue | None = None, *, waivers: bool = True) -> Auditor:
        """One that looks things up in another world, be it for some checks only; policies hold as they do here."""
        accept = self._accept if waivers else None
        other = Auditor(catalogue or self.catalogue, self.policies, world, accept, self._answers)
        other._namespaces, other._denials = self._namespaces, self._denials
        other.crashes = self.crashes
        return other

    def under(self, policies: PolicySet) -> Auditor:
        """One that judges by other policies what this one judges."""
        other = Auditor(self._given, policies, self.world, self._accept, self._answers)
        other._namespaces = self._namespaces
        return other

    def settings_for(
        self, resource: Resource, request: Request | None = None, *, kind: Kind | None = None
    ) -> dict[str, Setting]:
        """What holds for each check on the resource at its home: in a request for it, or without one as it stands.

        ``kind`` asks what would hold for an object of another kind there.
        """
        home = self.home_of(resource)
        return self.policies.settings(home, self._labels(home), kind=kind or resource.kind, request=request)

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

    def _plan(self, kind: Kind, settings: dict[str, Setting], operation: Operation | None) -> AuditPlan:
        key = (kind, id(settings), operation)
        kept = self._plans.get(key)
        if kept is not None:
            return kept
        steps = []
        rules: list[PlannedRule] = []
        lacking = {}
        for check in self.catalogue.for_kind(kind):
            setting = settings.get(check.id)
            if setting is None or (check.audit_only if operation is not None else check.admission_only):
                continue
            if operation is not None and operation not in check.operations:
                continue
            if check.asks:
                if (rule := self._planned_rule(check, setting, kind, operation)) is not None:
                    rules.append(rule)
                continue
            if missing := setting.missing:
                lacking[check.id] = missing
                continue
            handed = {"world": self.world, "params": setting.params, "guard": self._denials}
            given = {name: handed[name] for name in check.handed if name in handed}
            run = partial(check.evaluate, **given)
            images = setting.params.get(EXEMPT_IMAGES.name) if check.on_pods else None
            exempt = ImagePatterns.of(tuple(images)) if images else None
            whole = bool(kind.pods) and not check.on_pods
            wants = "request" in check.handed
            mode_for, severity = setting.mode_for, setting.severity
            fields = frozenset(check.fields)
            steps.append(PlannedCheck(check, check.needs, severity, run, wants, whole, exempt, mode_for, fields))
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        plan = self._plans[key] = AuditPlan(settings, tuple(steps), lacking, tuple(rules))
        return plan

    @staticmethod
    def _planned_rule(check: Check, setting: Setting, kind: Kind, operation: Operation | None) -> PlannedRule | None:
        from iocaudit.engine.languages.as_checks import on_templates, on_whole, rule_of  # late: most have no rules

        rule = rule_of(check)
        assert rule is not None, "only rules ask"
        whole, templates = on_whole(rule, kind, operation), on_templates(rule, kind)
        if not (whole or templates):
            return None
        parameters, severity = dict(setting.params), setting.severity
        return PlannedRule(check, rule, check.needs, severity, parameters, setting.mode_for, whole, templates)

    def audit(
        self,
        resource: Resource,
        *,
        request: Request | None = None,
        deadline: Deadline | None = None,
        settings: dict[str, Setting] | None = None,
        old: Resource | None = None,
    ) -> Report:
        """Every hit on one resource. With a request it is an admission, without one an audit of what is there.

        ``settings`` are those of an object that it is compared with, in place of its own. ``old`` is the object that an
        UPDATE replaces, for rules that compare both; without it the object is taken to stay as it is.
        """
        kind = resource.kind
        if kind is None or not self.catalogue.for_kind(kind):
            return Report(audited=int(kind is not None))
        if settings is None:
            settings = self.settings_for(resource, request)
        plan = self._plan(kind, settings, request.operation if request is not None else None)
        audit = ObjectAudit(resource, self.world, plan, request, deadline, self.crashes)
        if plan.rules:
            audit.ask(self._answers, old)
        report = audit.report()
        if self._accept is not None and report.found:
            self._waive(report, resource, self._accept)
        return report

    def ask_ahead(self, resource: Resource, *, request: Request, deadline: Deadline, old: Resource | None) -> None:
        """Put the questions that an audit of a request will ask of its rules, so their answers can be fetched first."""
        if self._answers is None or resource.kind is None or not self.catalogue.asks:
            return
        plan = self._plan(resource.kind, self.settings_for(resource, request), request.operation)
        if plan.rules:
            audit = ObjectAudit(resource, self.world, plan, request, deadline, self.crashes)
            audit.ask(self._answers, old)
            audit.ask_rules()

    def _waive(self, report: Report, resource: Resource, accept: HitAcceptor) -> None:
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
        kept: list[ReportedHit] = []
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

    def leaves(self, resource: Resource) -> ImageComparison | None:
        """Tells whether what a controller makes leaves the images that a waiver is for, whichever owner it names.

        Only the waiver's own object is asked by its name: a pod or a ReplicaSet is judged by its owner's waiver, and
        whose it is can be changed along with its images. None where there is nothing to leave.
        """
        accept = self._accept
        if accept is None or resource.kind not in CONTROLLERS:
            return None
        home = self.home_of(resource)
        return lambda found, before, now: before != now and accept.left(found.check, home, before, now)


def _images(report: Report, found: ReportedHit) -> Images:
    return report.behind(found).images


def audit(subjects: Iterable[Resource], auditor: Auditor, *, deadline: Deadline | None = None) -> Report:
    """Audit many resources as they are stored; the report is sorted."""
    report = Report()
    for resource in subjects:
        report.extend(auditor.audit(resource, deadline=deadline))
    return report.sorted()
