"""What runs for the objects of one kind: all that can be settled before an object is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import Kind
from iocaudit.core.resource import Resource
from iocaudit.core.severity import Severity
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import Setting
from iocaudit.knowledge.image import ImagePatterns
from iocaudit.knowledge.pods.pod import PodSpec

if TYPE_CHECKING:
    from iocaudit.engine.languages.rule import Rule
    from iocaudit.engine.languages.rule_groups import GroupedRules

_MOST_COMBINATIONS = 500


class PlannedCheck(NamedTuple):
    """A check ready to run in one place."""

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


class PlannedRule(NamedTuple):
    """A check that is a rule in a language of its own, ready to be asked for in one place."""

    check: Check
    rule: Rule
    needs: tuple[Kind, ...]
    severity: Severity | None
    parameters: dict[str, Any]
    mode_for: Callable[[Severity], Mode]
    whole: bool
    """Whether it judges the object itself."""
    templates: bool
    """Whether it judges the pods that are made of the object."""


PlannedJudgement = PlannedCheck | PlannedRule


class AuditPlan:
    """What runs for one kind under one set of settings; ``settings`` keeps the cache's key alive."""

    __slots__ = ("_asked", "_by_fields", "_grouped", "checks", "not_configured", "rules", "settings")

    def __init__(
        self,
        settings: Mapping[str, Setting],
        checks: tuple[PlannedCheck, ...],
        not_configured: Mapping[str, tuple[str, ...]],
        rules: tuple[PlannedRule, ...] = (),
    ) -> None:
        self.settings = settings
        self.checks = checks
        self.rules = rules
        self.not_configured = not_configured
        self._asked = frozenset[str]().union(*(one.fields for one in checks))
        self._by_fields: dict[frozenset[str], tuple[PlannedCheck, ...]] = {}
        self._grouped: GroupedRules | None = None

    @property
    def grouped(self) -> GroupedRules:
        """The rules as they are asked."""
        if self._grouped is None:
            from iocaudit.engine.languages.rule_groups import grouped  # late: most have no rules

            self._grouped = grouped(self.rules)
        return self._grouped

    def concerned(self, fields: Set[str]) -> tuple[PlannedCheck, ...]:
        """The checks that may have something to say of pods which set these fields; few combinations are seen."""
        asked = self._asked & fields
        kept = self._by_fields.get(asked)
        if kept is None:
            if len(self._by_fields) >= _MOST_COMBINATIONS:
                self._by_fields.clear()
            checks = (one for one in self.checks if not one.fields or one.fields & asked)
            kept = self._by_fields[asked] = tuple(checks)
        return kept
