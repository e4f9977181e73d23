from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.languages.answer import RuleFailure
from iocaudit.engine.languages.question import AskedRule
from iocaudit.engine.languages.rego import asked_groups
from iocaudit.engine.languages.rego.asked_groups import AskedGroups
from iocaudit.engine.languages.rego.loading import RuleSet
from iocaudit.engine.languages.rego.preparer import PreparedRule
from iocaudit.engine.languages.rule import RegoSource
from tests.support.rego import rego_rule

RULES = [rego_rule(f"package a{number}", name=f"r{number}") for number in range(6)]
PREPARED = {
    source: PreparedRule(f"root{number}", (), uses_inventory=number == 4)
    for number, source in enumerate(rule.source for rule in RULES[:5])
    if isinstance(source, RegoSource)
}


def _groups() -> AskedGroups:
    return AskedGroups(RuleSet("1", PREPARED, broken={"root3": "OPA does not take it"}))


def _asked(*numbers: int, parameters: dict[str, Any] | None = None) -> tuple[AskedRule, ...]:
    return tuple(AskedRule(RULES[number], parameters or {}) for number in numbers)


def test_rules_that_cannot_be_asked_are_refused() -> None:
    refused, group = _groups().settled(_asked(0, 3, 5, 2))
    assert refused == {
        "rego-r3": RuleFailure("OPA does not take it"),
        "rego-r5": RuleFailure("the rule is not loaded"),
    }
    assert group.roots == ("root0", "root2")
    assert group.asked == [{"parameters": {}, "rules": {"0": "root0", "1": "root2"}}]
    assert not group.uses_inventory
    assert _groups().settled(_asked(0, 4)).group.uses_inventory


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([{}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1.0}]))))
def test_each_rule_is_asked_once_with_its_own_parameters(given_rules: list[tuple[int, dict[str, Any]]]) -> None:
    asked = tuple(AskedRule(RULES[number], parameters) for number, parameters in given_rules)
    group = _groups().settled(asked).group
    seen = {int(index): (root, one["parameters"]) for one in group.asked for index, root in one["rules"].items()}
    assert seen == {index: (f"root{number}", handed) for index, (number, handed) in enumerate(given_rules)}
    assert len(group.asked) == len({repr(sorted(handed.items())) for _, handed in given_rules})


def test_the_same_rules_are_settled_once() -> None:
    groups, asked = _groups(), _asked(0, 1)
    assert groups.settled(asked) is groups.settled(asked)
    assert groups.settled(_asked(0, 1)) is not groups.settled(asked)
    assert groups.settled(_asked(0, 1)) == groups.settled(asked)


def test_what_is_kept_is_bounded() -> None:
    groups = _groups()
    for _ in range(2 * asked_groups._MOST_KEPT):
        groups.settled(_asked(0))
    assert len(groups._kept) <= asked_groups._MOST_KEPT
