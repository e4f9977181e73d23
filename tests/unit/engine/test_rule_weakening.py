"""What a change of rules takes away: each way in which one stops being judged, and nothing where more is denied."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.core.kinds import DEPLOYMENT, POD
from iocaudit.core.request import Operation
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.engine.languages.rule import CelSource, CelValidation, RegoSource, Rule
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.rule_weakening import changed_rules, lowered_rules
from tests.support.rego import REGISTRY_V1
from tests.support.rules import cel, rego

CATALOGUE = builtin_catalogue()
DENIED = {"checks": [{"ids": ["rego-registry"], "mode": "deny"}]}
SOURCE = RegoSource(REGISTRY_V1)


def with_rules(*rules: Rule, **spec: Any) -> PolicySet:
    known = CATALOGUE.also(map(check_of, rules))
    policies = [read_policy({"metadata": {"name": "p"}, "spec": spec}, known, live=True)] if spec else []
    return PolicySet(known, policies)


def registry(**given: Any) -> Rule:
    return rego("registry", **{"source": SOURCE, "kinds": (POD, DEPLOYMENT), **given})


def lost(before: PolicySet, after: PolicySet) -> list[str]:
    found = [*changed_rules(before, after, "data", gone=True), *lowered_rules(before, after, "data")]
    assert {one.path for one in found} <= {"data"}
    return [f"{one.severity.label}: {one.message}" for one in found]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kinds": (DEPLOYMENT,)}, "high: does not judge Pod by rego-registry any more, which is denied"),
        ({"operations": (Operation.CREATE,)}, "high: does not judge UPDATE by rego-registry any more, which is denied"),
        (
            {"pod_templates": False},
            "high: does not judge the pods of templates by rego-registry any more, which is denied",
        ),
        (
            {"needs": (POD,)},
            "high: has rego-registry look up pods, so it is not asked at admission any more, which is denied",
        ),
        (
            {"source": RegoSource(REGISTRY_V1.replace("not startswith", "startswith"))},
            "medium: changes what rego-registry says, which is denied: it may deny less",
        ),
        (
            {"source": RegoSource(REGISTRY_V1, ("package lib",))},
            "medium: changes what rego-registry says, which is denied: it may deny less",
        ),
        ({"parameters": {"registry": "x"}}, "medium: sets other parameters for rego-registry, which is denied"),
    ],
)
def test_each_way_in_which_a_denied_rule_says_less_is_told(given: dict[str, Any], said: str) -> None:
    before = with_rules(registry(), **DENIED)
    assert lost(before, with_rules(registry(**given), **DENIED)) == [said]
    only_warned = {"checks": [{"ids": ["rego-registry"], "mode": "warn"}]}
    assert lost(with_rules(registry(), **only_warned), with_rules(registry(**given), **only_warned)) == []


def test_one_that_is_gone_or_called_otherwise_is_told() -> None:
    before = with_rules(registry(), **DENIED)
    gone = ["high: takes away rego-registry, which is denied: nothing is judged by it any more"]
    assert lost(before, with_rules(**DENIED)) == gone
    assert lost(before, with_rules(rego("renamed", source=SOURCE), **DENIED)) == gone
    assert lost(with_rules(), before) == []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"title": "other words", "description": "more of them", "where": "ConfigMap other, data['registry.rego']"},
        {"severity": Severity.CRITICAL},
        {"kinds": (POD, DEPLOYMENT, *CATALOGUE.audited_kinds[:3])},
        {"source": RegoSource(f'{REGISTRY_V1}\ndeny contains "no" if {{\n\tinput.request.object.spec.hostPID\n}}\n')},
        {"source": RegoSource(f"# METADATA\n# title: registries\n{REGISTRY_V1}")},
    ],
)
def test_what_takes_nothing_away_is_not_told(given: dict[str, Any]) -> None:
    before = with_rules(registry(), **DENIED)
    assert lost(before, with_rules(registry(**given), rego("another"), **DENIED)) == []


def test_a_severity_that_is_not_denied_any_more_is_told_where_the_preset_decides() -> None:
    critical = registry(severity=Severity.CRITICAL)
    locked = with_rules(critical, preset="lockdown")
    said = ["high: sets the severity of rego-registry to high, at which it is not denied"]
    assert lost(locked, with_rules(registry(), preset="lockdown")) == said
    own = RegoSource('package x\n\ndeny contains {"msg": "m", "severity": "critical"} if { false }')
    worst = with_rules(registry(severity=Severity.CRITICAL, source=own), preset="lockdown")
    assert lost(worst, with_rules(registry(source=own), preset="lockdown")) == said
    assert lost(with_rules(critical, preset="warn"), with_rules(registry(), preset="warn")) == []
    assert lost(with_rules(critical, **DENIED), with_rules(registry(), **DENIED)) == []


def test_of_cel_any_other_words_may_deny_less() -> None:
    denied = {"checks": [{"ids": ["cel-a"], "mode": "deny"}]}
    before = with_rules(cel("a"), **denied)
    other = with_rules(cel("a", source=CelSource((CelValidation("false"),))), **denied)
    assert lost(before, other) == ["medium: changes what cel-a says, which is denied: it may deny less"]
