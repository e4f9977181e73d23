"""An AuditPolicy that has been read: where, for what and for whose requests it holds, and what it says of checks.

A policy that selects by subjects or operations holds for requests alone. What stands in a cluster or in a file has
none: what is recorded of it is decided by the other policies, no matter who made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.kinds import Kind
from iocaudit.core.label_selector import selects
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.request import Operation, Request
from iocaudit.core.severity import Severity
from iocaudit.engine.name_globs import name_globs
from iocaudit.engine.policy_kinds import selects_kind
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.rollout import EVERYWHERE, Rollout, RolloutProgress, RolloutState
from iocaudit.engine.setting import OnExisting, OnFault, OnIncomplete, SameImage
from iocaudit.engine.subjects import ExemptSubject, SubjectPattern, cover

if TYPE_CHECKING:
    from iocaudit.engine.languages.reader import DeclaredRule


@dataclass(frozen=True, slots=True)
class CheckRule:
    """One entry of ``spec.checks``: the checks it names, and what it says of them.

    One of ``spec.rules`` is such an entry as well, for the rule alone that stands there: ``declares`` is its policy, as
    ``Rule.where`` begins.
    """

    index: int
    ids: frozenset[str]
    groups: frozenset[str]
    profiles: frozenset[str]
    mode: Mode | None
    severity: Severity | None
    params: Mapping[str, Any]
    declares: str = ""

    @property
    def at(self) -> str:
        """Where it stands in the spec."""
        return f"{'rules' if self.declares else 'checks'}[{self.index}]"

    def specificity(self, check: Check) -> int:
        """3 where the check is named by id, 2 by group, 1 by profile, 0 where it is not named."""
        if self.declares:
            return 3 if check.asks and check.id in self.ids and check.doc.sources.startswith(self.declares) else 0
        if check.id in self.ids or any(alias in self.ids for alias in check.aliases):
            return 3
        if check.group in self.groups:
            return 2
        return 1 if check.profile in self.profiles else 0


class Policy(NamedTuple):
    """An AuditPolicy that has been read and found usable."""

    name: str
    priority: int
    namespaces: tuple[str, ...] | None
    excluded: tuple[str, ...]
    selector: Mapping[str, Any] | None
    cluster_scoped: bool
    rules: tuple[CheckRule, ...]
    on_fault: OnFault = OnFault.DENY
    on_incomplete: OnIncomplete = OnIncomplete.WARN
    existing: OnExisting = OnExisting.WARN
    exempt: tuple[ExemptSubject, ...] = ()
    selects_by_label: bool = False
    images: SameImage = SameImage.REPOSITORY
    preset: Preset | None = None
    rollout: Rollout | None = None
    progress: RolloutProgress = EVERYWHERE
    """How far its rollout has come; that of a policy in a file counts as complete."""
    standing: RolloutState = RolloutState.TO
    """How it counts in the place for which it was chosen (`PolicySet.matching`)."""
    kinds: tuple[str, ...] | None = None
    operations: frozenset[Operation] | None = None
    subjects: tuple[SubjectPattern, ...] | None = None
    excluded_subjects: tuple[SubjectPattern, ...] = ()
    declared: tuple[DeclaredRule, ...] = ()
    """The rules in languages of their own that it brings along."""

    @property
    def ceiling(self) -> Mode:
        """The strictest mode that it gives any hit."""
        if self.rollout is None:
            return Mode.DENY
        return self.rollout.end if self.standing is RolloutState.TO else self.rollout.start

    @property
    def keeps_guard(self) -> bool:
        """Whether what preset guard denies is above the ceiling."""
        return self.standing is RolloutState.BACK

    @property
    def is_rolling(self) -> bool:
        """Whether there is a place in which it is not promoted."""
        return self.rollout is not None and self.progress != EVERYWHERE

    def standing_in(self, namespace: str | None) -> RolloutState:
        """How it counts in a namespace (None: in cluster scope)."""
        return RolloutState.TO if self.rollout is None else self.progress.standing(self.name, namespace)

    @property
    def is_universal(self) -> bool:
        """Whether it applies in every namespace, there or to come."""
        return self.namespaces is None and self.selector is None and not self.excluded

    @property
    def by_subject(self) -> bool:
        """Whether it depends on who makes a request."""
        return self.subjects is not None or bool(self.excluded_subjects)

    @property
    def by_request(self) -> bool:
        """Whether it holds for requests alone, and says nothing of what stands."""
        return self.by_subject or self.operations is not None

    def is_for(self, kind: Kind | None) -> bool:
        """Whether it holds for objects of a kind; None asks whether it holds for every kind."""
        return self.kinds is None or (kind is not None and selects_kind(self.kinds, kind))

    def is_for_operation(self, operation: Operation) -> bool:
        return self.operations is None or operation in self.operations

    def holds(self, request: Request | None) -> bool:
        """Whether it holds for a request; None asks of what stands, no matter who made it."""
        if request is None:
            return not self.by_request
        return self.is_for_operation(request.operation) and self.covers(request)

    def covers(self, request: Request) -> bool:
        """Whether the user who makes a request is one of those for whose requests it holds."""
        if self.excluded_subjects and cover(self.excluded_subjects, request):
            return False
        return self.subjects is None or cover(self.subjects, request)

    def matches(self, namespace: str | None, labels: Mapping[str, Any]) -> bool:
        """Whether it applies in a namespace with these labels (None: to cluster-scoped objects)."""
        if namespace is None:
            return self.cluster_scoped
        if not self.may_match(namespace):
            return False
        return self.selector is None or selects(self.selector, {**labels, NAME_LABEL: namespace})

    def may_match(self, namespace: str) -> bool:
        """Whether it applies in a namespace of that name, with some labels."""
        if self.excluded and name_globs(self.excluded).match(namespace):
            return False
        return self.namespaces is None or name_globs(self.namespaces).match(namespace)

    def rule_for(self, check: Check) -> CheckRule | None:
        """The entry that names the check most closely; of equals the last.

        A check that judges the policies themselves is not turned off or lowered by one.
        """
        best, found = 0, None
        for rule in self.rules if not check.on_policies else filter(_only_tightens(check), self.rules):
            closeness = rule.specificity(check)
            if closeness and closeness >= best:
                best, found = closeness, rule
        return found


def _only_tightens(check: Check) -> Callable[[CheckRule], bool]:
    return lambda rule: rule.mode is not Mode.OFF and (rule.severity is None or rule.severity >= check.severity)
