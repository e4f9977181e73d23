"""What is settled of a question before its input is known: the same rules are asked about one object after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from iocaudit.engine.languages.answer import RuleFailure
from iocaudit.engine.languages.question import AskedRule
from iocaudit.engine.languages.rego.loading import RuleSet
from iocaudit.engine.languages.rule import RegoSource, Rule

_MOST_KEPT: Final = 512


class AskedGroup(NamedTuple):
    """Rules of one query, with the roots that they are loaded under, and as the router is asked for them."""

    rules: tuple[AskedRule, ...]
    roots: tuple[str, ...]
    asked: list[dict[str, Any]]
    uses_inventory: bool


class SettledRules(NamedTuple):
    """The rules of a question: why some cannot be asked, by id, and the rest."""

    refused: Mapping[str, RuleFailure]
    group: AskedGroup


class AskedGroups:
    """Those of one set of loaded rules. Safe to use from several threads."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self._kept: dict[int, tuple[tuple[AskedRule, ...], SettledRules]] = {}

    def settled(self, asked: tuple[AskedRule, ...]) -> SettledRules:
        """The rules of a question; those of a plan are one value, and settled once."""
        known = self._kept.get(id(asked))
        if known is not None and known[0] is asked:
            return known[1]
        refused: dict[str, RuleFailure] = {}
        for one in asked:
            if (trouble := self.rules.trouble(source_of(one.rule))) is not None:
                refused[one.rule.id] = RuleFailure(trouble)
        found = SettledRules(refused, self.group([one for one in asked if one.rule.id not in refused]))
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[id(asked)] = (asked, found)
        return found

    def group(self, asked: Sequence[AskedRule]) -> AskedGroup:
        """Rules that can be asked, as one query."""
        prepared = [self.rules.rules[source_of(one.rule)] for one in asked]
        roots = tuple(one.root for one in prepared)
        by_parameters: dict[bytes, dict[str, Any]] = {}
        for index, (one, root) in enumerate(zip(asked, roots, strict=True)):
            key = orjson.dumps(one.parameters, option=orjson.OPT_SORT_KEYS)
            handed = by_parameters.setdefault(key, {"parameters": one.parameters, "rules": {}})
            handed["rules"][str(index)] = root
        uses_inventory = any(one.uses_inventory for one in prepared)
        return AskedGroup(tuple(asked), roots, list(by_parameters.values()), uses_inventory)


def source_of(rule: Rule) -> RegoSource:
    """The text of a rule in Rego."""
    assert isinstance(rule.source, RegoSource), f"{rule.id} is not in Rego"
    return rule.source
