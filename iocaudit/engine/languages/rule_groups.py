"""The rules of a plan as they are asked: together where the language and what they look up are the same.

Rules that look other objects up are asked apart from the rest, which would have to be sent those objects as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from iocaudit.core.kinds import Kind
from iocaudit.engine.languages.question import AskedRule
from iocaudit.engine.languages.rule import Language

if TYPE_CHECKING:
    from iocaudit.engine.plan import PlannedRule


class RuleGroup(NamedTuple):
    """Rules of one question. ``asked`` is one value for as long as a plan holds: an Evaluator may know it again."""

    language: Language
    needs: tuple[Kind, ...]
    rules: tuple[PlannedRule, ...]
    asked: tuple[AskedRule, ...]


class GroupedRules(NamedTuple):
    """Those that judge an object itself, and those that judge the pods that are made of it."""

    whole: tuple[RuleGroup, ...]
    templates: tuple[RuleGroup, ...]


def grouped(rules: Iterable[PlannedRule]) -> GroupedRules:
    """Rules by the questions in which they are asked."""
    planned = tuple(rules)
    return GroupedRules(_groups(one for one in planned if one.whole), _groups(one for one in planned if one.templates))


def _groups(rules: Iterable[PlannedRule]) -> tuple[RuleGroup, ...]:
    found: dict[tuple[Language, tuple[Kind, ...]], list[PlannedRule]] = defaultdict(list)
    for planned in rules:
        found[planned.rule.language, planned.needs].append(planned)
    return tuple(
        RuleGroup(language, needs, tuple(group), tuple(AskedRule(one.rule, one.parameters) for one in group))
        for (language, needs), group in found.items()
    )
