"""What a policy takes away from what is denied: each kind, by itself and beside others."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_reader import read_policies, read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.weakening import taken, taken_by_change
from tests.support.rules import cel_entry, policy_with, rego_entry

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
EVERYTHING = {"profiles": ["default", "strict"]}


def raw(name: str, *checks: Json, **spec: Any) -> Json:
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": name},
        "spec": {"checks": list(checks), **spec},
    }


def privileged(**fields: Any) -> Json:
    return {"ids": ["privileged-container"], **fields}


def policies(*raws: Json) -> PolicySet:
    return read_policies(raws, CATALOGUE, preset=Preset.LOCKDOWN)


def of(one: Json, *others: Json) -> list[str]:
    """What a policy takes away, worst first."""
    found = taken(read_policy(one, CATALOGUE), policies(one, *others))
    return [f"{weakening.severity.label}: {weakening.message}" for weakening in found]


@pytest.mark.parametrize(
    ("checks", "spec", "said"),
    [
        (privileged(mode="off"), {}, "high: turns off privileged-container everywhere"),
        (
            privileged(mode="warn"),
            {},
            "high: only warns about, and does not deny, what is found by privileged-container",
        ),
        (privileged(mode="audit"), {}, "high: only records, and does not deny, what is found by privileged-container"),
        (privileged(severity="high"), {}, "high: only warns about"),
        (privileged(severity="low"), {}, "high: only records"),
        ({"groups": ["pods"], "mode": "off"}, {}, "high: turns off host-process-container, privileged-container"),
        (EVERYTHING | {"mode": "off"}, {}, "high: turns off admission-bypass, cluster-admin-binding, csr-approval"),
        (
            privileged(parameters={"exemptImages": ["*"]}),
            {},
            "high: leaves out * (exemptImages) of privileged-container everywhere",
        ),
        (privileged(parameters={"exemptImages": ["*/*"]}), {}, "high: leaves out */* (exemptImages)"),
        (privileged(parameters={"exemptImages": ["hooli.com/net/"]}), {}, "medium: leaves out hooli.com/net/"),
        (
            {"ids": ["sensitive-host-path"], "parameters": {"allowed": ["/"]}},
            {},
            "high: leaves out / (allowed) of sensitive-host-path everywhere",
        ),
        ({"ids": ["sensitive-host-path"], "parameters": {"allowed": ["/var/log"]}}, {}, "medium: leaves out /var/log"),
        (
            {"ids": ["unsafe-sysctl"], "parameters": {"allowed": ["*"]}},
            {},
            "high: leaves out * (allowed) of unsafe-sysctl everywhere",
        ),
        (
            privileged(mode="deny"),
            {"exemptSubjects": [{"kind": "Group", "name": "system:authenticated"}]},
            "high: exempts Group system:authenticated from privileged-container everywhere",
        ),
        (
            privileged(),
            {"exemptSubjects": [{"kind": "Group", "name": "system:serviceaccounts:shop"}]},
            "high: exempts Group system:serviceaccounts:shop from privileged-container",
        ),
        (
            privileged(),
            {"exemptSubjects": [{"kind": "ServiceAccount", "name": "ci", "namespace": "ci"}]},
            "medium: exempts ServiceAccount ci/ci from privileged-container",
        ),
        (
            privileged(),
            {"onFault": "allow"},
            "high: admits (onFault: allow) what could not be judged by privileged-container everywhere",
        ),
        (
            privileged(mode="off"),
            {"match": {"namespaces": ["shop", "team-*"]}},
            "high: turns off privileged-container in namespaces shop, team-*",
        ),
        (
            privileged(mode="off"),
            {"match": {"excludeNamespaces": ["shop"]}},
            "high: turns off privileged-container in every namespace but shop",
        ),
        (
            {"ids": ["csr-approval"], "mode": "off"},
            {"match": {"namespaces": ["shop"], "clusterScoped": True}},
            "high: turns off csr-approval in namespace shop and in cluster scope",
        ),
    ],
)
def test_each_kind(checks: Json, spec: Json, said: str) -> None:
    found = of(raw("one", checks, **spec))
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.parametrize(
    ("checks", "spec"),
    [
        (EVERYTHING | {"mode": "deny"}, {}),
        (privileged(), {}),
        ({"ids": ["host-network", "host-pid"], "mode": "deny"}, {"onIncomplete": "deny", "existing": "deny"}),
        ({"ids": ["host-network"], "mode": "off"}, {}),  # it denies nothing by default
        ({"ids": ["memory-unlimited"], "severity": "critical"}, {}),
        ({"ids": ["configmap-tampering"], "parameters": {"plain": True}}, {}),
        ({"ids": ["policy-weakens-guard"], "mode": "off"}, {}),
        ({"ids": ["untrusted-registry"], "parameters": {"trusted": ["*"]}}, {}),
    ],
)
def test_what_only_tightens_or_denies_nothing_anyway_is_silent(checks: Json, spec: Json) -> None:
    assert of(raw("one", checks, **spec)) == []


def test_one_that_does_not_decide_is_silent() -> None:
    low = raw("low", privileged(mode="off"), priority=1)
    assert of(low) != []
    assert of(low, raw("high", privileged(mode="deny"), priority=2)) == []
    shop = raw("high", privileged(mode="deny"), priority=2, match={"namespaces": ["shop"]})
    assert of(low, shop) == ["high: turns off privileged-container everywhere as far as no other policy decides"]
    inside = raw("low", privileged(mode="off"), priority=1, match={"namespaces": ["shop"]})
    assert of(inside, shop) == []
    but = raw("high", privileged(mode="deny"), priority=2, match={"excludeNamespaces": ["legacy-*"]})
    assert len(of(low, but)) == 1


def test_two_that_do_the_same_do_not_hide_each_other() -> None:
    one, two = (raw(name, privileged(mode="off")) for name in ("one", "two"))
    assert [len(of(one, two)), len(of(two, one))] == [1, 0]


def test_labels_are_places_too() -> None:
    dev = {"namespaceSelector": {"matchLabels": {"env": "dev"}}}
    low = raw("low", privileged(mode="off"), priority=1, match=dev)
    assert len(of(low)) == 1
    assert of(low, raw("high", privileged(mode="deny"), priority=2, match=dev)) == []
    prod = {"namespaceSelector": {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]}}
    assert of(low, raw("high", privileged(mode="deny"), priority=2, match=prod)) == []
    wide = raw("wide", privileged(mode="off"), priority=1)
    assert len(of(wide, raw("high", privileged(mode="deny"), priority=2, match=prod))) == 1


def change(before: list[Json], after: list[Json], name: str = "one") -> list[str]:
    return [found.message for found in taken_by_change(policies(*before), policies(*after), name)]


def test_a_change_is_judged_by_what_held_before() -> None:
    strict = raw("one", {"ids": ["host-network"], "mode": "deny"}, match={"namespaces": ["shop"]})
    assert change([], [strict]) == []
    removed = "only warns about, and does not deny, what is found by host-network in namespace shop"
    assert change([strict], []) == [removed]
    weaker = raw("one", {"ids": ["host-network"], "mode": "warn"}, match={"namespaces": ["shop"]})
    assert change([strict], [weaker]) == [removed]
    assert change([weaker], [strict]) == []
    assert change([strict], [strict]) == []
    # Elsewhere: the same policy for another namespace.
    moved = raw("one", {"ids": ["host-network"], "mode": "deny"}, match={"namespaces": ["bar"]})
    assert change([strict], [moved]) == [removed]


def test_a_change_that_another_policy_makes_good_is_silent() -> None:
    other = raw("other", {"ids": ["host-network"], "mode": "deny"}, priority=-1)
    strict = raw("one", {"ids": ["host-network"], "mode": "deny"}, match={"namespaces": ["shop"]})
    assert change([strict, other], [other]) == []


def test_a_change_of_what_is_refused_or_spared() -> None:
    forbids = {"ids": ["unsafe-sysctl"], "mode": "deny", "parameters": {"forbidden": ["kernel.*", "vm.*"]}}
    fewer = {"ids": ["unsafe-sysctl"], "mode": "deny", "parameters": {"forbidden": ["vm.*"]}}
    assert change([raw("one", forbids)], [raw("one", fewer)]) == [
        "takes kernel.* away (forbidden) from unsafe-sysctl everywhere"
    ]
    assert change([raw("one", fewer)], [raw("one", forbids)]) == []
    deny = raw("one", privileged(mode="deny"), existing="deny", onIncomplete="deny", images="exact")
    found = change([deny], [raw("one", privileged(mode="deny"))])
    assert sorted(message.partition(")")[0] for message in found) == [
        "admits (onIncomplete: warn",
        "admits pods of a template that has (existing: warn",
        "lets other tags of an image keep (images: repository",
    ]
    low = {"ids": ["low-uid"], "mode": "deny", "parameters": {"minimum": 10_000}}
    lower = {"ids": ["low-uid"], "mode": "deny", "parameters": {"minimum": 1}}
    assert change([raw("one", low)], [raw("one", lower)]) == ["sets minimum to 1 for low-uid everywhere"]


def test_no_policy_turns_off_or_lowers_the_check_of_policies() -> None:
    check = CATALOGUE.find("policy-weakens-guard")
    assert check is not None
    for named in (
        EVERYTHING | {"mode": "off"},
        {"ids": [check.id], "mode": "off"},
        {"ids": [check.id], "severity": "low"},
    ):
        found = policies(raw("one", named)).settings(None)[check.id]
        assert (found.mode, found.severity) == (None, None)
    found = policies(raw("one", {"ids": [check.id], "severity": "critical"})).settings(None)[check.id]
    assert found.severity is Severity.CRITICAL


def test_the_check_finds_it_on_the_policy_though_that_turns_everything_off() -> None:
    quiet = raw("quiet", EVERYTHING | {"mode": "off"}, priority=1000)
    auditor = Auditor(CATALOGUE, policies(quiet), World())
    (found,) = auditor.audit(Resource(quiet, CLUSTER)).found
    assert (found.check, found.severity, found.hit.at) == ("policy-weakens-guard", Severity.HIGH, "spec.checks[0]")
    # In files they are no more than objects: each is judged beside the others.
    world = World()
    for one in (quiet, raw("loud", EVERYTHING | {"mode": "deny"}, priority=999)):
        world.put(Resource(one, CLUSTER))
    assert len(Auditor(CATALOGUE, policies(), world).audit(Resource(quiet, CLUSTER)).found) == 1
    world.put(Resource(raw("loud", EVERYTHING | {"mode": "deny"}, priority=1001), CLUSTER))
    assert Auditor(CATALOGUE, policies(), world).audit(Resource(quiet, CLUSTER)).found == []


def test_a_policy_that_cannot_be_used_is_said_to_be_unjudged() -> None:
    bad = raw("bad", {"mode": "off"})
    report = Auditor(CATALOGUE, policies(), World()).audit(Resource(bad, CLUSTER))
    assert [skipped.check for skipped in report.skipped] == ["policy-weakens-guard"]
    assert "names no check" in report.skipped[0].reason


# -- the made-up places stand for all ------------------------------------------------------------------------

_PATTERNS = st.sampled_from(["a", "b", "ab", "a*", "*b", "*", "?", "a?", "[ab]", "[!a]*"])
_SELECTORS = st.sampled_from(
    [
        None,
        {"matchLabels": {"env": "dev"}},
        {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["dev"]}]},
        {"matchExpressions": [{"key": "env", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]},
        {"matchExpressions": [{"key": "env", "operator": "In", "values": ["dev", "prod"]}]},
    ]
)


@st.composite
def drawn(draw: st.DrawFn) -> list[Policy]:
    found = []
    for at in range(draw(st.integers(1, 4))):
        match: Json = {}
        if draw(st.booleans()):
            match["namespaces"] = draw(st.lists(_PATTERNS, min_size=1, max_size=2, unique=True))
        if draw(st.booleans()):
            match["excludeNamespaces"] = draw(st.lists(_PATTERNS.filter(lambda p: p != "*"), max_size=2, unique=True))
        if selector := draw(_SELECTORS):
            match["namespaceSelector"] = selector
        mode = draw(st.sampled_from(["off", "warn", "deny"]))
        one = raw(
            f"p{at}", privileged(mode=mode), priority=draw(st.integers(0, 2)), **({"match": match} if match else {})
        )
        found.append(read_policy(one, CATALOGUE))
    return found


@given(drawn())
@settings(max_examples=300, deadline=None)
def test_what_is_weakened_in_any_namespace_is_found(some: list[Policy]) -> None:
    whole = PolicySet(CATALOGUE, tuple(some), preset=Preset.LOCKDOWN)
    check = CATALOGUE.find("privileged-container")
    assert check is not None
    for policy in some:
        weakens = any(
            (setting := whole.setting(check, whole.matching(name, labels))).policy == policy.name
            and setting.mode is not Mode.DENY
            for name in ("a", "b", "ab", "aa", "ba", "c", "d", "abc", "xb", "0")
            for labels in ({}, {"env": "dev"}, {"env": "prod"}, {"env": "qa"})
        )
        if weakens:
            assert taken(policy, whole) != []
        elif not taken(policy, whole):
            assert not weakens


@given(drawn())
@settings(max_examples=200, deadline=None)
def test_where_no_namespace_is_denied_by_name_alone_none_is(some: list[Policy]) -> None:
    whole = PolicySet(CATALOGUE.select(["privileged-container"]), tuple(some), preset=Preset.LOCKDOWN)
    (check,) = whole.catalogue
    named = whole.denying.namespaces()
    if named is not None:
        for name in ("a", "b", "ab", "aa", "ba", "c", "abc", "xb"):
            for labels in ({}, {"env": "dev"}, {"env": "prod"}):
                denies = whole.setting(check, whole.matching(name, labels)).can_deny
                assert not denies or name in named


def test_names_alone_say_where_something_is_denied() -> None:
    quiet = raw("quiet", EVERYTHING | {"mode": "warn"})
    shop = raw("shop", privileged(mode="deny"), priority=1, match={"namespaces": ["shop", "bar"]})
    assert policies().denying.namespaces() is None
    assert policies(quiet).denying.namespaces() == frozenset()
    assert policies(quiet, shop).denying.namespaces() == frozenset({"shop", "bar"})
    assert policies(shop).denying.namespaces() is None
    glob = raw("glob", privileged(mode="deny"), priority=1, match={"namespaces": ["shop-*"]})
    assert policies(quiet, glob).denying.namespaces() is None
    warns = raw("warns", privileged(mode="warn"), priority=2, match={"namespaces": ["bar", "legacy"]})
    assert policies(quiet, shop, warns).denying.namespaces() == frozenset({"shop"})
    late = raw("late", privileged(mode="deny"), priority=-1)
    assert policies(quiet, late).denying.namespaces() == frozenset()


def test_a_policy_that_leaves_out_every_made_up_name_is_judged_all_the_same() -> None:
    hidden = raw("hidden", privileged(mode="off"), match={"excludeNamespaces": ["x*", "z*", "0*", "m*"]})
    assert len(of(hidden)) == 1
    decoy = raw("decoy", privileged(mode="deny"), priority=1, match={"namespaces": ["x"]})
    hidden = raw("hidden", privileged(mode="off"), match={"excludeNamespaces": ["x?*", "z*", "0*", "m*"]})
    assert len(of(hidden, decoy)) == 1
    every = [f"{letter}*" for letter in "abcdefghijklmnopqrstuvwz0123456789"]
    hidden = raw("hidden", privileged(mode="off"), match={"excludeNamespaces": ["x?*", *every]})
    assert of(hidden, decoy) == [], "no made-up name is left but x, where the other one decides"
    # The namespaces that there are count as well: no trick with names hides what is done to those.
    auditor = Auditor(CATALOGUE, policies(hidden, decoy), world := World())
    world.put(Resource({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "yak"}}, CLUSTER))
    assert len(auditor.audit(Resource(hidden, CLUSTER)).found) == 1


@pytest.mark.parametrize("left_out", [["x", "zq9-none", "0", "m-1"], ["zq9-none", "m-1", "?", "*x*"]])
def test_namespaces_to_come_cannot_be_kept_from_being_asked_by_name(left_out: list[str]) -> None:
    """A decoy that always applies, so that not only what applies everywhere is asked."""
    base = raw("base", privileged(mode="deny"), match={"namespaces": ["*"]})
    match = {"namespaces": ["*", "decoy"], "excludeNamespaces": left_out}
    hidden = raw("hidden", privileged(mode="off"), priority=10, match=match)
    decoy = raw("decoy", privileged(mode="audit"), priority=20, match={"namespaces": ["decoy"]})
    before, after = policies(base, decoy), policies(base, decoy, hidden)
    assert taken_by_change(before, after, "hidden")
    assert of(hidden, base, decoy)


def _declaring(*entries: Json) -> PolicySet:
    return policies(*([policy_with(entries, "own")] if entries else []))


def _lost(before: PolicySet, after: PolicySet) -> list[str]:
    return [f"{one.severity.label}: {one.message}" for one in taken_by_change(before, after, "own")]


def test_a_rule_that_denied_and_is_gone_is_told() -> None:
    denying = _declaring(rego_entry(), cel_entry())
    assert any("turns off rego-registry" in one for one in _lost(denying, _declaring(cel_entry())))
    assert any("rego-registry" in one and "cel-no-latest" in one for one in _lost(denying, _declaring()))
    assert any("only warns" in one for one in _lost(denying, _declaring(rego_entry(mode="warn"), cel_entry())))
    assert _lost(_declaring(rego_entry(mode="warn")), _declaring()) == []


def test_a_rule_that_denied_and_says_something_else_is_told() -> None:
    denying = _declaring(rego_entry())
    other = _declaring(rego_entry(rego={"module": "package y"}))
    assert _lost(denying, other) == ["medium: changes what rego-registry says, which is denied: it may deny less"]
    assert _lost(denying, _declaring(rego_entry(title="other words"))) == []
    assert _lost(denying, _declaring(cel_entry(), rego_entry())) == [], "its place in the list is no matter"
    defaults = _lost(denying, _declaring(rego_entry(parameters={"registry": "x"})))
    assert defaults == ["medium: sets other parameters for rego-registry, which is denied"]
    entry = {"ids": ["rego-registry"], "mode": "deny", "parameters": {"registry": "x"}}
    setting = policies(policy_with([rego_entry()], "own", checks=[entry]))
    assert any("sets other parameters for rego-registry" in one for one in _lost(denying, setting))


def test_a_policy_of_a_folder_that_names_a_rule_of_the_cluster_is_judged_all_the_same() -> None:
    naming = raw("naming", {"ids": ["rego-elsewhere"], "mode": "warn"}, privileged(mode="off"))
    auditor = Auditor(CATALOGUE, policies(), World())
    report = auditor.audit(Resource(naming, CLUSTER))
    assert not report.faults
    assert [found.check for found in report.found] == ["policy-weakens-guard"]
