"""What holds without a policy, and which of several decides."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.languages.as_checks import rule_of
from iocaudit.engine.languages.rule import RegoSource
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode, Preset
from tests.support.rules import policy_with, rego_entry

CATALOGUE = builtin_catalogue()


def policy(name: str, checks: list[dict[str, Any]], *, priority: int = 0, **match: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"priority": priority, "checks": checks}
    if match:
        spec["match"] = match
    return {"metadata": {"name": name}, "spec": spec}


def settings(*raws: dict[str, Any], namespace: str | None = "shop", labels: dict[str, str] | None = None) -> Any:
    return read_policies(raws, CATALOGUE).settings(namespace, labels or {})


def test_without_a_policy_nothing_is_denied() -> None:
    for found in settings().values():
        assert found.mode_for(Severity.CRITICAL) is Mode.WARN
        assert found.mode_for(Severity.HIGH) is Mode.WARN
        assert found.mode_for(Severity.MEDIUM) is Mode.AUDIT
    assert not PolicySet(CATALOGUE).denies


def test_the_highest_priority_that_names_the_check_decides_whole() -> None:
    low = policy("low", [{"ids": ["untrusted-registry"], "mode": "warn", "parameters": {"trusted": ["a.io"]}}])
    high = policy("high", [{"ids": ["untrusted-registry"], "mode": "deny"}], priority=5)
    found = settings(low, high)["untrusted-registry"]
    assert found.policy == "high"
    assert found.mode is Mode.DENY
    assert found.missing == ("trusted",), "nothing merges: the parameters of the other policy are gone"
    assert settings(low, high)["host-pid"].policy is None


def test_equal_priorities_go_by_name_and_are_conflicts() -> None:
    a = policy("a", [{"ids": ["host-pid"], "mode": "warn"}])
    b = policy("b", [{"ids": ["host-pid"], "mode": "deny"}])
    policies = read_policies([b, a], CATALOGUE)
    assert policies.settings("shop")["host-pid"].policy == "a"
    assert policies.conflicts == {"a": ("b",), "b": ("a",)}


def test_what_may_deny() -> None:
    plain = PolicySet(CATALOGUE, preset=Preset.LOCKDOWN)
    check = CATALOGUE.find("privileged-container")
    images = CATALOGUE.find("mutable-image-tag")
    assert check is not None
    assert images is not None
    assert plain.denying.anywhere(check)
    assert not plain.denying.anywhere(images)
    denying = read_policies([policy("p", [{"ids": ["mutable-image-tag"], "mode": "deny"}])], CATALOGUE)
    assert denying.denying.anywhere(images)


def _declaring(name: str, module: str, *, priority: int = 0, **match: Any) -> dict[str, Any]:
    return policy_with([rego_entry(rego={"module": module})], name, priority=priority, match=match)


def _module(policies: PolicySet) -> str:
    check = policies.catalogue.find("rego-registry")
    rule = rule_of(check) if check is not None else None
    assert rule is not None
    assert isinstance(rule.source, RegoSource)
    return rule.source.module


def test_a_rule_of_a_policy_runs_only_where_a_policy_names_it() -> None:
    policies = read_policies([_declaring("a", "package a", namespaces=["shop"])], CATALOGUE)
    assert policies.settings("shop")["rego-registry"].mode is Mode.DENY
    assert "rego-registry" not in policies.settings("other")
    assert "rego-registry" not in PolicySet(CATALOGUE, policies.policies, "strict").settings("other")
    assert CATALOGUE.find("rego-registry") is None


def test_others_may_name_a_rule_of_a_policy() -> None:
    own = _declaring("a", "package a", namespaces=["shop"])
    everywhere = policy("b", [{"ids": ["rego-registry"], "mode": "warn"}])
    policies = read_policies([everywhere, own], CATALOGUE)
    assert policies.settings("shop")["rego-registry"].mode is Mode.DENY
    assert policies.settings("other")["rego-registry"].mode is Mode.WARN


@given(st.permutations([("a", 0), ("b", 5), ("c", 5), ("d", 1)]))
def test_of_rules_of_one_id_priority_and_name_decide_and_no_order(order: list[tuple[str, int]]) -> None:
    policies = read_policies([_declaring(name, f"package {name}", priority=at) for name, at in order], CATALOGUE)
    assert _module(policies) == "package b"
    assert {name: [lost.other for lost in found] for name, found in policies.lost_rules.items()} == {
        name: ["AuditPolicy b, spec.rules[0]"] for name in "acd"
    }


def test_a_rule_that_is_not_in_force_decides_nothing() -> None:
    winner = _declaring("a", "package a", namespaces=["shop"])
    loser = _declaring("b", "package b")
    policies = read_policies([winner, loser], CATALOGUE)
    assert policies.settings("shop")["rego-registry"].policy == "a"
    assert "rego-registry" not in policies.settings("other")
    alone = policies.having(tuple(one for one in policies.policies if one.name == "b"))
    assert _module(alone) == "package b"
    assert alone.settings("other")["rego-registry"].policy == "b"


def test_a_changed_rule_takes_the_place_of_what_it_was() -> None:
    policies = read_policies([_declaring("a", "package a")], CATALOGUE)
    changed = read_policies([_declaring("a", "package changed")], CATALOGUE)
    assert _module(policies.having(changed.policies)) == "package changed"
