"""Run the checks of a catalogue over subjects in a world.

What raises becomes a Fault, what lacks a needed kind becomes Skipped, what lacks a parameter is
notConfigured: nothing passes silently.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from iocaudit.core.check import Check
from iocaudit.core.check_doc import doc_of
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.report import Fault, Found, Report, Skipped
from iocaudit.core.request import Request
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet, Setting

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock after which an audit gives up."""

    at: float
    clock: Clock = time.monotonic

    @classmethod
    def within(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    @property
    def passed(self) -> bool:
        return self.clock() >= self.at


@cache
def _default_fix(check: Check) -> str:
    return doc_of(check).fix


class Auditor:
    """Audits resources one by one under a policy; a door keeps one as long as its policies hold."""

    def __init__(self, catalogue: Catalogue, policies: PolicySet, world: World) -> None:
        self.catalogue = catalogue
        self.policies = policies
        self.world = world

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
        if namespace is None:
            return {}
        found = self.world.get(NAMESPACE, None, namespace)
        return found.labels if found is not None else {}

    def audit(
        self,
        resource: Resource,
        *,
        request: Request | None = None,
        deadline: Deadline | None = None,
    ) -> Report:
        """Every hit on one resource. With a request it is an admission, without one an audit of what is there."""
        report = Report(audited=1)
        checks = self.catalogue.for_kind(resource.kind)
        if not checks:
            return report
        settings = self.settings_for(resource)
        ref = resource.ref
        pods = resource.pods
        for pod in pods:
            for problem in pod.problems:
                reason = f"{problem.path} is not {problem.expected}, so it was not audited"
                report.skipped.append(Skipped(None, ref, reason, resource.origin))
        for check in checks:
            setting = settings.get(check.id)
            if setting is None or (check.audit_only if request is not None else check.admission_only):
                continue
            if request is not None and request.operation not in check.operations:
                continue
            if missing := setting.missing:
                report.not_configured[check.id] = missing
                continue
            if lacking := self._incomplete(check):
                report.skipped.append(Skipped(check.id, ref, lacking, resource.origin))
                continue
            if deadline is not None and deadline.passed:
                report.faults.append(Fault(check.id, ref, "the audit ran out of time", resource.origin))
                continue
            self._run(check, setting, resource, request, report)
        return report

    def _incomplete(self, check: Check) -> str | None:
        for kind in check.needs:
            reason = self.world.incomplete(kind)
            if reason is not None:
                return f"needs all {kind.plural} of the cluster: {reason}"
        return None

    def _run(self, check: Check, setting: Setting, resource: Resource, request: Request | None, report: Report) -> None:
        extra: dict[str, object] = {}
        for name in check.handed:
            extra[name] = self.world if name == "world" else setting.params if name == "params" else request
        ref = resource.ref
        try:
            for subject in resource.pods if check.on_pods else (resource,):
                for hit in check.function(subject, **extra):
                    if isinstance(hit, Hit):
                        report.found.append(
                            Found(
                                check.id,
                                setting.severity or hit.severity or check.severity,
                                check.iocs,
                                ref,
                                resource.origin,
                                hit,
                                _default_fix(check),
                            )
                        )
                    else:
                        report.skipped.append(Skipped(check.id, ref, hit.reason, resource.origin))
        except Exception as error:  # noqa: BLE001  a check's error is data here: a Fault, judged by onFault
            report.faults.append(Fault(check.id, ref, f"{type(error).__name__}: {error}", resource.origin))


def audit(subjects: Iterable[Resource], auditor: Auditor, *, deadline: Deadline | None = None) -> Report:
    """Audit many resources as they are stored; the report is sorted."""
    report = Report()
    for resource in subjects:
        report.extend(auditor.audit(resource, deadline=deadline))
    return report.sorted()
