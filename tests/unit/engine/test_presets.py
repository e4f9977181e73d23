"""The presets: what each denies, who chooses them, and what escapes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.check import Check
from iocaudit.core.errors import PolicyError
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.enforcement import enforcement
from iocaudit.engine.escapes import escape_anywhere, escapes
from iocaudit.engine.policy_kinds import is_wide
from iocaudit.engine.policy_reader import read_policies, read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.weakening import taken, taken_by_change, without

CATALOGUE = builtin_catalogue()
CHECKS = list(CATALOGUE)
Json = dict[str, Any]
NAMESPACES = ("shop", "shop-eu", "bar", "legacy")
DENIED_BY_GUARD = {
    "privileged-container",
    "host-process-container",
    "runtime-socket-mount",
    "sensitive-host-path",
    "dangerous-capability",
    "cluster-admin-binding",
    "masters-group-binding",
    "anonymous-binding",
    "guard-tampering",
}


def policy(name: str, *checks: Json, priority: int = 0, preset: str | None = None, **match: Any) -> Json:
    spec: Json = {"priority": priority, **({"checks": list(checks)} if checks else {})}
    spec |= {"preset": preset} if preset is not None else {}
    spec |= {"match": match} if match else {}
    return {"metadata": {"name": name}, "spec": spec}


def off(check: str = "privileged-container", mode: str = "off") -> Json:
    return {"ids": [check], "mode": mode}


def policies(*raws: Json, profile: str = "default") -> PolicySet:
    return read_policies(raws, CATALOGUE, profile=profile)


def mode(whole: PolicySet, check: str, severity: Severity, namespace: str | None = "shop") -> Mode | None:
    setting = whole.settings(namespace).get(check)
    return setting.mode_for(severity) if setting is not None else None


def test_what_guard_denies_is_declared() -> None:
    assert {check.id for check in CHECKS if check.denied_by_guard} == DENIED_BY_GUARD


@pytest.mark.parametrize(
    ("preset", "check", "critical", "high", "medium"),
    [
        ("observe", "privileged-container", Mode.AUDIT, Mode.AUDIT, Mode.AUDIT),
        ("warn", "privileged-container", Mode.WARN, Mode.WARN, Mode.AUDIT),
        ("guard", "privileged-container", Mode.DENY, Mode.WARN, Mode.AUDIT),
        ("guard", "csr-approval", Mode.WARN, Mode.WARN, Mode.AUDIT),
        ("lockdown", "csr-approval", Mode.DENY, Mode.WARN, Mode.AUDIT),
    ],
)
def test_each_preset(preset: str, check: str, critical: Mode, high: Mode, medium: Mode) -> None:
    whole = policies(policy("p", preset=preset))
    for namespace in ("shop", None):
        found = [mode(whole, check, severity, namespace) for severity in (Severity.CRITICAL, Severity.HIGH)]
        assert [*found, mode(whole, check, Severity.MEDIUM, namespace)] == [critical, high, medium]


@given(st.sampled_from(CHECKS), st.sampled_from(list(Severity)))
def test_each_preset_denies_and_warns_at_least_as_much_as_the_one_before(check: Any, severity: Severity) -> None:
    weights = [preset.modes(check)[severity].weight for preset in Preset]
    assert weights == sorted(weights)
    assert [preset.strictness for preset in Preset] == sorted(preset.strictness for preset in Preset)


def test_without_any_policy_it_is_warn() -> None:
    whole, said = policies(), policies(policy("p", preset="warn"))
    for check in CHECKS:
        one, other = whole.setting(check, ()), said.setting(check, said.policies)
        assert (one.preset, [one.mode_for(s) for s in Severity]) == (Preset.WARN, [other.mode_for(s) for s in Severity])


def test_the_preset_of_the_highest_priority_holds_where_it_matches() -> None:
    whole = policies(
        policy("iocaudit-default", preset="warn", priority=-1_000_000),
        policy("shop", preset="guard", namespaces=["shop"]),
        policy("shops", preset="lockdown", priority=-5, namespaces=["shop*"]),
    )
    assert mode(whole, "privileged-container", Severity.CRITICAL, "shop") is Mode.DENY
    assert mode(whole, "csr-approval", Severity.CRITICAL, "shop") is Mode.WARN
    assert mode(whole, "csr-approval", Severity.CRITICAL, "shop-eu") is Mode.DENY
    assert mode(whole, "privileged-container", Severity.CRITICAL, "bar") is Mode.WARN
    assert mode(whole, "privileged-container", Severity.CRITICAL, None) is Mode.WARN
    assert whole.settings("shop")["privileged-container"].preset_by == "shop"


@pytest.mark.parametrize("priority", [-1_000_000, 0, 1_000_000])
def test_it_never_overrides_a_policy_that_names_the_check(priority: int) -> None:
    whole = policies(
        policy("strictest", preset="lockdown", priority=priority), policy("named", off(mode="audit"), priority=-7)
    )
    assert mode(whole, "privileged-container", Severity.CRITICAL) is Mode.AUDIT
    assert mode(whole, "host-process-container", Severity.CRITICAL) is Mode.DENY


def test_a_rule_without_a_mode_leaves_it_to_the_preset() -> None:
    tuned = {"ids": ["privileged-container"], "parameters": {"exemptImages": ["hooli.com/tools/"]}}
    for preset, expected in (("warn", Mode.WARN), ("guard", Mode.DENY), ("observe", Mode.AUDIT)):
        whole = policies(policy("tuned", tuned), policy("default", preset=preset, priority=-1))
        assert mode(whole, "privileged-container", Severity.CRITICAL) is expected


def test_strict_checks_run_only_where_they_are_named_or_the_profile_is_strict() -> None:
    whole = policies(policy("p", preset="lockdown"))
    assert "low-uid" not in whole.settings("shop")
    assert "low-uid" in policies(policy("p", preset="lockdown"), profile="strict").settings("shop")
    assert "low-uid" in policies(policy("p", {"profiles": ["strict"]}, preset="lockdown")).settings("shop")


def test_two_presets_of_one_priority_are_a_conflict() -> None:
    whole = policies(policy("a", preset="warn"), policy("b", preset="guard", namespaces=["shop"]))
    assert whole.conflicts == {"a": ("b",), "b": ("a",)}
    assert mode(whole, "privileged-container", Severity.CRITICAL) is Mode.WARN


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("gaurd", "spec.preset: 'gaurd' is not one of observe, warn, guard, lockdown (did you mean guard?)"),
        ("off", "spec.preset: 'off' is not one of observe, warn, guard, lockdown"),
        (False, "spec.preset: False is not one of observe, warn, guard, lockdown"),
        (None, "spec.preset: has no value"),
    ],
)
def test_a_preset_that_is_none_is_refused(preset: Any, said: str) -> None:
    raw = policy("p")
    raw["spec"]["preset"] = preset
    with pytest.raises(PolicyError) as refused:
        read_policy(raw, CATALOGUE)
    assert said in str(refused.value)
    assert "name at least one check" not in str(refused.value), "one mistake is told once"


@st.composite
def drawn(draw: st.DrawFn) -> list[Json]:
    """A few policies with presets and rules for some namespaces, the cluster scope or everything."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        names = draw(st.none() | st.lists(st.sampled_from(["shop", "bar", "shop*", "*", "legacy"]), min_size=1))
        match: Json = {} if names is None else {"namespaces": sorted(set(names))}
        if draw(st.booleans()):
            match["clusterScoped"] = draw(st.booleans())
        if draw(st.booleans()):
            match["excludeNamespaces"] = [draw(st.sampled_from(["bar", "shop-*"]))]
        ids = st.sampled_from(["privileged-container", "csr-approval", "host-pid"])
        modes = st.sampled_from(["deny", "warn", "audit", "off", None])
        checks = []
        for check, given_mode in draw(st.lists(st.tuples(ids, modes), max_size=2)):
            checks.append({"ids": [check]} | ({} if given_mode is None else {"mode": given_mode}))
        preset = draw(st.sampled_from([None, *Preset]) if checks else st.sampled_from(list(Preset)))
        found.append(policy(f"p{number}", *checks, priority=draw(st.integers(0, 3)), preset=preset, **match))
    return found


def admitted(*, wide: bool) -> list[Check]:
    """The checks that look at requests for objects of cluster scope, or of a namespace."""
    return [c for c in CHECKS if not c.audit_only and any(is_wide(kind) is wide for kind in c.looks_at)]


@given(drawn())
def test_what_is_registered_to_fail_closed_is_what_may_be_denied(raws: list[Json]) -> None:
    """Nothing that is denied is left out; and where all names are exact, no namespace is in it for nothing."""
    whole = policies(*raws)
    names = whole.denying.namespaces()
    exact = all("*" not in name for raw in raws for name in raw["spec"].get("match", {}).get("namespaces", ["*"]))
    for namespace in NAMESPACES:
        here = whole.matching(namespace, {})
        denied = [check for check in admitted(wide=False) if whole.setting(check, here).can_deny]
        assert all(whole.denying.anywhere(check) for check in denied)
        assert not denied or names is None or namespace in names
        if names is not None and exact and namespace in names:
            assert denied
    wide = [check for check in admitted(wide=True) if whole.setting(check, whole.matching(None, {})).can_deny]
    assert wide == [check for check in CHECKS if whole.denying.in_cluster_scope(check)]


@given(drawn(), st.sampled_from(NAMESPACES))
def test_every_denial_that_a_policy_takes_away_is_told(raws: list[Json], namespace: str) -> None:
    """Without one policy a check denies in a namespace, and with it it does not: the policy says so."""
    whole = policies(*raws)
    check = CATALOGUE.find("privileged-container")
    assert check is not None
    for one in whole.policies:
        before = without(whole, one.name)
        lost = before.setting(check, before.matching(namespace, {})).can_deny
        lost = lost and not whole.setting(check, whole.matching(namespace, {})).can_deny
        if lost:
            assert taken_by_change(before, whole, one.name) != []
        by_preset = without(before, "").having(tuple(p for p in before.policies if p.preset and not p.rules))
        denied = by_preset.setting(check, by_preset.matching(namespace, {}))
        if lost and denied.can_deny and denied.preset is before.chosen(before.matching(namespace, {})).preset:
            assert taken(one, whole) != []


def test_what_takes_away_from_a_preset_says_which() -> None:
    default = policy("iocaudit-default", preset="guard", priority=-1_000_000)
    lax = policy("lax", preset="observe", namespaces=["legacy"])
    whole = policies(default, lax)
    (found,) = taken(whole.policies[0], whole)
    assert found.path == "spec.preset"
    assert found.message == (
        "with preset observe only records, and does not deny, what is found by cluster-admin-binding, guard-tampering,"
        " host-process-container, masters-group-binding, privileged-container, runtime-socket-mount and 3 more"
        " in namespace legacy"
    )
    assert taken(whole.policies[1], whole) == []


def test_a_policy_that_turns_off_what_its_own_preset_denies_is_told() -> None:
    whole = policies(policy("both", off(), preset="guard"))
    (found,) = taken(whole.policies[0], whole)
    assert (found.path, found.message) == ("spec.checks", "turns off privileged-container everywhere")


def test_under_warn_nothing_is_taken_away() -> None:
    whole = policies(policy("default", preset="warn", priority=-1), policy("quiet", off()))
    assert [taken(one, whole) for one in whole.policies] == [[], []]


def test_the_removal_and_the_lowering_of_a_preset_are_told() -> None:
    guard, warn = policy("iocaudit-default", preset="guard"), policy("iocaudit-default", preset="warn")
    for after in (policies(), policies(warn)):
        (found,) = taken_by_change(policies(guard), after, "iocaudit-default")
        assert "with preset warn only warns about, and does not deny, what is found by" in found.message
    assert taken_by_change(policies(warn), policies(guard), "iocaudit-default") == []


# -- what is said of them ------------------------------------------------------------------------------------


def test_what_escapes_a_preset_is_what_a_policy_is_milder_about() -> None:
    default = policy("iocaudit-default", preset="guard", priority=-1_000_000)
    legacy = policy("legacy", off(mode="warn"), {"ids": ["host-pid"], "mode": "deny"}, namespaces=["legacy"])
    quiet = policy("quiet", off("csr-approval", "audit"), priority=-5, namespaces=["bar"], clusterScoped=True)
    whole = policies(default, legacy, quiet)
    (chooses,) = [one for one in whole.policies if one.preset is not None]
    assert escape_anywhere(chooses, whole) == {"legacy": ["privileged-container"], "quiet": ["csr-approval"]}
    named = escapes(whole, whole.matching("legacy", {}), CHECKS)
    assert {check.id: by for check, by in named.items()} == {"privileged-container": "legacy"}
    assert escapes(whole, whole.matching("shop", {}), CHECKS) == {}


def test_what_escapes_on_namespaces_themselves_is_told_where_policies_for_namespaces_decide() -> None:
    """A Namespace is judged by the policies of the one that it is, though its kind is in none."""
    default = policy("default", priority=-10, preset="lockdown", namespaces=["*"], clusterScoped=True)
    named = policy("named", off("namespace-unguarded", "off"), namespaces=["shop"])
    wide = policy("wide", off("namespace-unguarded", "off"), clusterScoped=True, namespaces=[])
    for one, expected in ((named, {"named": ["namespace-unguarded"]}), (wide, {})):
        whole = policies(default, one)
        (chooses,) = [found for found in whole.policies if found.preset is not None]
        assert escape_anywhere(chooses, whole) == expected


@given(drawn(), st.sampled_from(NAMESPACES))
def test_nothing_is_milder_than_the_preset_but_what_escapes_it(raws: list[Json], namespace: str) -> None:
    whole = policies(*raws)
    here = whole.matching(namespace, {})
    named, preset = escapes(whole, here, CHECKS), whole.chosen(here).preset
    for check in CHECKS:
        setting = whole.setting(check, here)
        own = [severity for severity in Severity if check.severity <= severity <= check.worst]
        milder = any(setting.mode_for(one).weight < preset.modes(check)[one].weight for one in own)
        assert milder == (check in named or (check.profile == "strict" and setting.policy is None)), check.id


@pytest.mark.parametrize(
    ("raws", "said"),
    [
        ([], "nothing is denied anywhere (preset warn)"),
        ([policy("d", preset="observe")], "nothing is denied anywhere (preset observe)"),
        (
            [policy("d", preset="warn"), policy("o", preset="observe", namespaces=["x"], priority=1)],
            "nothing is denied anywhere (presets observe, warn)",
        ),
        (
            [policy("d", preset="warn", priority=-1), policy("s", preset="guard", namespaces=["shop", "bar"])],
            "something is denied in namespaces bar, shop",
        ),
        (
            [policy("s", preset="guard", namespaces=["shop"], clusterScoped=True)],
            "something is denied in namespace shop and in cluster scope",
        ),
        (
            [policy("d", preset="lockdown")],
            "something is denied in every namespace that a policy for it matches and in cluster scope",
        ),
    ],
)
def test_where_anything_is_denied_is_said_in_one_line(raws: list[Json], said: str) -> None:
    assert enforcement(policies(*raws)) == said
