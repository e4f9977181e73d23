"""Which policy decides and why: the same as what the engine goes by."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.policy_trace import Decision, trace
from iocaudit.engine.presets import Mode, Preset

CATALOGUE = builtin_catalogue()
ALL = list(CATALOGUE)


def policy(name: str, checks: list[dict[str, Any]], *, priority: int = 0, **match: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"priority": priority, "checks": checks}
    return {"metadata": {"name": name}, "spec": {**spec, "match": match} if match else spec}


def one(check_id: str, *raws: dict[str, Any], namespace: str | None = "shop", profile: str = "default") -> Decision:
    check = CATALOGUE.find(check_id)
    assert check is not None
    (decision,) = trace(read_policies(raws, CATALOGUE, profile=profile, preset=Preset.LOCKDOWN), namespace, {}, [check])
    return decision


def test_the_built_in_default_decides_where_no_policy_names_it() -> None:
    found = one("wildcard-rule")
    assert (found.by, found.shadowed, found.conflicts) == (None, (), ())
    assert (found.mode, found.worst_mode, found.severity) == (Mode.WARN, Mode.DENY, Severity.HIGH)
    assert one("low-uid").mode is Mode.OFF
    assert one("low-uid", profile="strict").mode is Mode.AUDIT


def test_it_says_the_rule_and_how_it_names_the_check() -> None:
    raw = policy(
        "p",
        [{"profiles": ["default"]}, {"groups": ["pods"]}, {"groups": ["pods"], "mode": "warn"}, {"ids": ["host-pid"]}],
    )
    by = one("host-pid", raw).by
    assert by is not None
    assert (by.policy, by.rule, by.named_by) == ("p", "checks[3]", "id")
    by = one("host-ipc", raw).by
    assert by is not None
    assert (by.rule, by.named_by, by.mode) == ("checks[2]", "group", Mode.WARN)
    by = one("untrusted-registry", raw).by
    assert by is not None
    assert (by.rule, by.named_by) == ("checks[0]", "profile")


def test_shadowed_ones_come_in_order_and_conflicts_are_those_of_one_priority() -> None:
    high = policy("z-high", [{"ids": ["host-pid"], "mode": "deny"}], priority=5)
    same = policy("z-same", [{"groups": ["pods"], "mode": "off"}], priority=5)
    low = policy("a-low", [{"profiles": ["default"], "severity": "critical"}])
    away = policy("away", [{"ids": ["host-pid"], "mode": "off"}], priority=9, namespaces=["other"])
    found = one("host-pid", low, same, high, away)
    assert found.by is not None
    assert found.by.policy == "z-high"
    assert [claim.policy for claim in found.shadowed] == ["z-same", "a-low"]
    assert found.conflicts == ("z-same",)
    assert [claim.mode_for(found.check) for claim in found.shadowed] == [Mode.OFF, Mode.DENY]
    assert found.default.mode_for(found.check.severity) is Mode.WARN


def test_parameters_are_those_of_the_deciding_policy_alone() -> None:
    low = policy("low", [{"ids": ["untrusted-registry"], "mode": "warn", "parameters": {"trusted": ["a.io"]}}])
    high = policy("high", [{"ids": ["untrusted-registry"], "mode": "deny"}], priority=5)
    found = one("untrusted-registry", low, high)
    assert found.setting.missing == ("trusted",)
    assert found.by is not None
    assert dict(found.by.params) == {}
    assert dict(found.shadowed[0].params) == {"trusted": ["a.io"]}


def test_a_policys_severity_holds_for_every_hit() -> None:
    found = one("wildcard-rule", policy("p", [{"ids": ["wildcard-rule"], "severity": "low"}]))
    assert (found.severity, found.mode, found.worst_mode) == (Severity.LOW, Mode.AUDIT, Mode.AUDIT)


RULES = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.lists(st.sampled_from(["host-pid", "low-uid", "wildcard-rule"]), min_size=1, max_size=2),
        "groups": st.lists(st.sampled_from(["pods", "rbac"]), min_size=1, max_size=2),
        "profiles": st.lists(st.sampled_from(["default", "strict"]), min_size=1, max_size=2),
        "mode": st.sampled_from(["deny", "warn", "audit", "off"]),
        "severity": st.sampled_from(["critical", "high", "medium", "low"]),
    },
).filter(lambda rule: bool(rule.keys() & {"ids", "groups", "profiles"}))
MATCHES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({"clusterScoped": True}),
    st.fixed_dictionaries({"namespaces": st.lists(st.sampled_from(["shop", "s*", "other"]), min_size=1, max_size=2)}),
    st.just({"namespaceSelector": {"matchLabels": {"tier": "gold"}}}),
)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.lists(RULES, min_size=1, max_size=3), MATCHES), max_size=4),
    st.sampled_from(["shop", "other", None]),
    st.booleans(),
    st.sampled_from(["default", "strict"]),
)
def test_it_agrees_with_what_the_engine_goes_by(
    given_policies: list[tuple[int, list[dict[str, Any]], dict[str, Any]]],
    namespace: str | None,
    gold: bool,
    profile: str,
) -> None:
    raws = [
        policy(f"p{number}", rules, priority=priority, **match)
        for number, (priority, rules, match) in enumerate(given_policies)
    ]
    policies: PolicySet = read_policies(raws, CATALOGUE, profile=profile, preset=Preset.LOCKDOWN)
    labels = {"tier": "gold"} if gold else {}
    in_force = policies.settings(namespace, labels)
    for found in trace(policies, namespace, labels, ALL):
        if found.setting.mode is Mode.OFF:
            assert found.check.id not in in_force
        else:
            assert in_force[found.check.id] == found.setting
        assert found.setting.policy == (found.by.policy if found.by is not None else None)
        order = [(-claim.priority, claim.policy) for claim in (*([found.by] if found.by else []), *found.shadowed)]
        assert order == sorted(order)
        assert set(found.conflicts) <= set(policies.conflicts.get(found.by.policy if found.by else "", ()))
