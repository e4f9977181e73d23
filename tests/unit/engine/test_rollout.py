"""Policies under rollout: what they ask for, and what they amount to at each stage."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.errors import PolicyError
from iocaudit.core.request import Operation, Request
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.rollout import (
    EVERYWHERE,
    NOWHERE,
    WHOLE,
    RolloutProgress,
    RolloutStage,
    RolloutState,
    forces_step_back,
    order_of,
    parse_after,
    parse_share,
    progress_in,
    relevant,
)

CATALOGUE = builtin_catalogue()
CHECKS = [check for check in CATALOGUE if not check.audit_only]
PRIVILEGED = next(check for check in CHECKS if check.id == "privileged-container")
SECRETS = next(check for check in CHECKS if check.id == "secret-access")
HIGH = next(check for check in CHECKS if check.severity is Severity.HIGH and check.worst is Severity.HIGH)
NAMES = ("shop", "pay", "lab", "flux-system", "default")
Json = dict[str, Any]


def raw(name: str = "p", rollout: Json | None = None, **spec: Any) -> Json:
    wanted = spec or {"preset": "lockdown"}
    if rollout is not None:
        wanted = wanted | {"rollout": {"after": "7d"} | rollout}
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": name}, "spec": wanted}


def policy(name: str = "p", rollout: Json | None = None, **spec: Any) -> Policy:
    return read_policy(raw(name, rollout, **spec), CATALOGUE)


def mode(policies: PolicySet, namespace: str | None, check: Any = PRIVILEGED) -> Mode:
    setting = policies.setting(check, policies.matching(namespace, {}))
    return setting.mode_for(setting.severity or check.worst)


def at(progress: RolloutProgress, *policies: Policy, name: str = "p") -> PolicySet:
    return PolicySet(CATALOGUE, policies).with_progress(name, progress)


# -- what is asked for ---------------------------------------------------------------------------------------


def test_it_is_read() -> None:
    found = policy(rollout={"from": "audit", "first": "10%", "protect": ["flux-system"]}).rollout
    assert found is not None
    assert (found.start, found.end, found.after) == (Mode.AUDIT, Mode.DENY, timedelta(days=7))
    assert (found.first, found.protect, found.by_shares) == (1000, ("flux-system",), True)
    assert policy().rollout is None


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        ({"from": "deny"}, "spec.rollout.from: 'deny' is not one of audit, warn"),
        ({"from": "warn", "to": "warn"}, "spec.rollout.to: must be stricter than from, which is warn"),
        ({"after": "a week"}, "spec.rollout.after: 'a week' is not a time such as 12h or 7d, of at most 365 days"),
        ({"after": "366d"}, "spec.rollout.after: '366d' is not a time such as 12h or 7d, of at most 365 days"),
        ({"after": 7}, "spec.rollout.after: must be a string, not 7"),
        ({"first": "0%"}, "spec.rollout.first: '0%' is not a share from 1% to 100%"),
        ({"first": 10}, "spec.rollout.first: must be a string, not 10"),
        ({"protect": ["kube-*"]}, "spec.rollout.protect[0]: 'kube-*' is not the name of a namespace"),
        ({"protect": [f"n{n}" for n in range(65)]}, "spec.rollout.protect: must name at most 64 namespaces"),
        ({"until": "7d"}, "spec.rollout.until: there is no such field"),
    ],
)
def test_what_is_wrong_is_named(rollout: Json, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(rollout=rollout)
    assert said in str(caught.value)


def test_the_time_is_required() -> None:
    with pytest.raises(PolicyError, match=r"spec\.rollout\.after: is required"):
        read_policy(raw() | {"spec": {"preset": "guard", "rollout": {}}}, CATALOGUE)


@given(st.integers(1, 10**7), st.sampled_from("smhd"))
def test_times_are_what_they_say(number: int, unit: str) -> None:
    seconds = number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    found = parse_after(f"{number}{unit}")
    assert found == (timedelta(seconds=seconds) if seconds <= 365 * 86400 else None)


@pytest.mark.parametrize("given", ["", "0d", "7", "d", "7 d", "7D", "-7d", "1d12h", "7d\n", "\u0667d"])
def test_other_text_is_not_a_time(given: str) -> None:
    assert parse_after(given) is None


def test_shares() -> None:
    assert [parse_share(f"{n}%") for n in range(1, 101)] == [n * 100 for n in range(1, 101)]
    assert [parse_share(one) for one in ("0%", "101%", "10", "%", "1.5%", "010%")] == [None] * 6


def test_the_order_of_namespaces_is_stable_and_spread() -> None:
    """Golden: a change would promote other namespaces in every cluster."""
    assert [order_of("guard", name) for name in NAMES] == [order_of("guard", name) for name in NAMES]
    assert (order_of("guard", "shop"), order_of("lockdown", "shop")) == GOLDEN
    places = [order_of("p", f"team-{n}") for n in range(2000)]
    assert 150 < sum(place < 1000 for place in places) < 250
    assert all(0 <= place < WHOLE for place in places)


GOLDEN = (6579, 2122)


# -- how far it is -------------------------------------------------------------------------------------------


def test_a_status_counts_for_its_own_spec_alone() -> None:
    one = policy(rollout={})
    assert one.rollout is not None
    status = {"rollout": {"fingerprint": one.rollout.fingerprint, "stage": "Promoted"}}
    assert progress_in(status, one.rollout.fingerprint) == EVERYWHERE
    live = read_policy(raw(rollout={}) | {"status": status}, CATALOGUE, live=True)
    assert live.progress == EVERYWHERE
    for changed in (raw(rollout={"after": "8d"}), raw(rollout={}, preset="guard")):
        assert read_policy(changed | {"status": status}, CATALOGUE, live=True).progress == NOWHERE
    assert read_policy(raw(rollout={}), CATALOGUE, live=True).progress == NOWHERE


def test_a_policy_in_a_file_counts_as_it_ends() -> None:
    assert policy(rollout={}).progress == EVERYWHERE


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.booleans(),
        lambda s: (
            st.lists(s)
            | st.dictionaries(
                st.sampled_from(["rollout", "fingerprint", "stage", "cut", "holds", "namespace", "steppedBack"])
                | st.text(),
                s,
            )
        ),
    )
)
def test_a_forged_or_broken_status_never_raises(status: Any) -> None:
    for wanted in ("", "x"):
        found = progress_in(status, wanted)
        assert found == NOWHERE or wanted == "x"
    found = progress_in({"rollout": {"fingerprint": "x", "stage": "Promoted", "cut": status, "holds": status}}, "x")
    assert found.everywhere


PROGRESS = st.builds(
    RolloutProgress,
    st.integers(0, WHOLE),
    st.booleans(),
    st.frozensets(st.sampled_from((*NAMES, ""))),
    st.frozensets(st.sampled_from((*NAMES, ""))),
)


@given(PROGRESS, st.sampled_from((*NAMES, None)))
def test_one_standing_in_every_place(progress: RolloutProgress, namespace: str | None) -> None:
    found = progress.standing("p", namespace)
    assert found in progress.standings
    assert relevant(progress, "p").standing("p", namespace) is found


# -- what it amounts to --------------------------------------------------------------------------------------


def test_nothing_is_denied_before_the_promotion_and_nothing_registered() -> None:
    before = at(NOWHERE, policy(rollout={}))
    assert not before.denies
    assert before.denying.namespaces() == frozenset()
    assert {mode(before, name) for name in (*NAMES, None)} == {Mode.WARN}
    assert at(EVERYWHERE, policy(rollout={})).denies


def test_the_first_share_is_promoted_first() -> None:
    order = sorted(NAMES, key=lambda name: order_of("p", name))
    first = at(RolloutProgress(order_of("p", order[0]) + 1), policy(rollout={"first": "10%"}))
    assert {name: mode(first, name) for name in order} == {order[0]: Mode.DENY} | dict.fromkeys(order[1:], Mode.WARN)
    assert mode(first, None) is Mode.WARN
    named = at(
        RolloutProgress(order_of("p", order[0]) + 1), policy(rollout={}, preset="lockdown", match={"namespaces": order})
    )
    assert named.denying.namespaces() == frozenset({order[0]})


def test_a_step_back_never_touches_what_guard_denies() -> None:
    back = at(EVERYWHERE._replace(back=frozenset({"shop"})), policy(rollout={}))
    assert (mode(back, "shop", PRIVILEGED), mode(back, "shop", SECRETS)) == (Mode.DENY, Mode.WARN)
    assert mode(back, "pay", SECRETS) is Mode.DENY
    renamed = policy(rollout={}, checks=[{"ids": [PRIVILEGED.id, HIGH.id], "mode": "deny", "severity": "low"}])
    back = at(EVERYWHERE._replace(back=frozenset({"shop"})), renamed)
    assert (mode(back, "shop", PRIVILEGED), mode(back, "shop", HIGH)) == (Mode.DENY, Mode.WARN)


def test_a_policy_under_rollout_takes_nothing_away() -> None:
    """What another policy denies already is denied on, by its own settings, until the promotion."""
    guard = policy("guard", preset="guard")
    stricter = policy(rollout={}, priority=5, preset="lockdown")
    before = at(NOWHERE, guard, stricter)
    assert (mode(before, "shop", PRIVILEGED), mode(before, "shop", SECRETS)) == (Mode.DENY, Mode.WARN)
    setting = before.setting(PRIVILEGED, before.matching("shop", {}))
    assert (setting.preset, setting.preset_by) == (Preset.GUARD, "guard")
    after = at(EVERYWHERE, guard, stricter)
    assert after.setting(PRIVILEGED, after.matching("shop", {})).preset_by == "p"


def test_what_is_no_stricter_than_from_holds_at_once() -> None:
    milder = policy(rollout={}, priority=5, checks=[{"ids": [PRIVILEGED.id], "mode": "warn"}])
    assert mode(at(NOWHERE, policy("guard", preset="guard"), milder), "shop") is Mode.WARN


def test_to_warn_denies_nothing_ever() -> None:
    assert not at(EVERYWHERE, policy(rollout={"from": "audit", "to": "warn"})).denies
    observing = PolicySet(CATALOGUE, (policy(rollout={"from": "audit", "to": "warn"}),), preset=Preset.OBSERVE)
    assert mode(observing.with_progress("p", NOWHERE), "shop") is Mode.AUDIT
    assert mode(observing, "shop") is Mode.WARN


_RULE = st.fixed_dictionaries(
    {"ids": st.lists(st.sampled_from([PRIVILEGED.id, SECRETS.id, HIGH.id]), min_size=1, unique=True)},
    optional={"mode": st.sampled_from(list(Mode)), "severity": st.sampled_from(["critical", "high", "low"])},
)
_MATCH = st.one_of(
    st.just({"clusterScoped": True, "namespaces": ["*"]}),
    st.fixed_dictionaries({"namespaces": st.lists(st.sampled_from(NAMES), min_size=1, unique=True)}),
    st.just({"namespaces": ["*"], "excludeNamespaces": ["shop"]}),
)


@st.composite
def sets(draw: st.DrawFn) -> PolicySet:
    found = []
    for number in range(draw(st.integers(1, 4))):
        spec: Json = {"priority": draw(st.integers(0, 2)), "checks": draw(st.lists(_RULE, max_size=2))}
        if not spec["checks"] or draw(st.booleans()):
            spec["preset"] = draw(st.sampled_from(list(Preset)))
        if draw(st.booleans()):
            spec["match"] = draw(_MATCH)
        stages = {"from": draw(st.sampled_from(["audit", "warn"]))} if draw(st.booleans()) else None
        one = policy(f"p{number}", stages, **json.loads(json.dumps(spec)))
        found.append(one._replace(progress=draw(PROGRESS)) if one.rollout is not None else one)
    return PolicySet(CATALOGUE, tuple(found))


@given(sets(), st.sampled_from((*NAMES, None)), st.sampled_from([PRIVILEGED, SECRETS, HIGH]))
def test_what_may_be_denied_is_known(policies: PolicySet, namespace: str | None, check: Any) -> None:
    """What is registered to fail closed holds all that is denied anywhere."""
    if not policies.setting(check, policies.matching(namespace, {})).can_deny:
        return
    assert policies.denying.anywhere(check)
    assert policies.denies
    names = policies.denying.namespaces()
    assert namespace is None or names is None or namespace in names


@given(sets(), st.sampled_from((*NAMES, None)), st.sampled_from([PRIVILEGED, SECRETS, HIGH]), st.data())
def test_a_stage_is_between_without_and_written(
    policies: PolicySet, namespace: str | None, check: Any, data: st.DataObject
) -> None:
    """Exactly one effective mode: no laxer than the laxer of what holds without the policy and what it says, and no
    stricter than the stricter of both.
    """
    one = data.draw(st.sampled_from(policies.policies))
    without = policies.having(tuple(other for other in policies.policies if other.name != one.name))
    written = policies.having(
        tuple(other if other.name != one.name else other._replace(rollout=None) for other in policies.policies)
    )
    found, least, most = (mode(each, namespace, check).weight for each in (policies, without, written))
    assert min(least, most) <= found <= max(least, most)


@given(sets(), st.sampled_from((*NAMES, None)), st.sampled_from([PRIVILEGED, SECRETS, HIGH]))
def test_where_it_is_promoted_the_rollout_changes_nothing(
    policies: PolicySet, namespace: str | None, check: Any
) -> None:
    promoted = policies.having(tuple(one._replace(progress=EVERYWHERE) for one in policies.policies))
    plain = policies.having(tuple(one._replace(rollout=None) for one in policies.policies))
    found, wanted = (each.setting(check, each.matching(namespace, {})) for each in (promoted, plain))
    assert found == wanted


@given(sets())
def test_while_none_is_promoted_only_the_others_deny(policies: PolicySet) -> None:
    before = policies.having(tuple(one._replace(progress=NOWHERE) for one in policies.policies))
    others = policies.having(tuple(one for one in policies.policies if one.rollout is None))
    for check in (PRIVILEGED, SECRETS, HIGH):
        for namespace in (*NAMES, None):
            denied = before.setting(check, before.matching(namespace, {})).can_deny
            assert not denied or others.setting(check, others.matching(namespace, {})).can_deny
    if not others.denies:
        assert not before.denies


# -- who forces a step back ----------------------------------------------------------------------------------

PLUGIN = "system:serviceaccount:kube-system:cilium-operator"


def asks(username: str, *groups: str) -> Request:
    return Request(Operation.CREATE, username, groups or _groups(username))


def _groups(username: str) -> tuple[str, ...]:
    if username.startswith("system:serviceaccount:"):
        return ("system:serviceaccounts", f"system:serviceaccounts:{username.split(':')[2]}", "system:authenticated")
    return ("system:authenticated",)


def test_controllers_of_the_system_and_of_protected_namespaces_do() -> None:
    assert forces_step_back(asks(PLUGIN), "shop", ())
    flux = asks("system:serviceaccount:flux-system:kustomize-controller")
    assert forces_step_back(flux, "shop", ("flux-system",))
    assert not forces_step_back(flux, "shop", ())
    replica_sets = asks("system:serviceaccount:kube-system:replicaset-controller")
    assert forces_step_back(replica_sets, "calico-system", ("calico-system",))


@pytest.mark.parametrize(
    "request_",
    [
        asks("mallory"),
        asks("kube-system"),
        asks("kube-system:cilium-operator"),
        asks("system:serviceaccount:kube-system-x:cilium-operator"),
        asks("system:serviceaccount:shop:kube-system"),
        asks("system:serviceaccount:shop:kube-system:cilium-operator"),
        asks("system:serviceaccount:kube-system:"),
        asks("system:serviceaccount:kube-system"),
        asks("system:serviceaccount:kube-system:a:b"),
        asks("System:serviceaccount:kube-system:cilium-operator"),
        asks(" " + PLUGIN),
        asks("mallory", "system:serviceaccounts:kube-system", "system:masters"),
        asks(PLUGIN, "system:authenticated"),
        asks("system:node:worker-1", "system:nodes"),
        asks("system:kube-controller-manager"),
        asks("system:serviceaccount:kube-system:replicaset-controller"),
        asks("system:serviceaccount:kube-system:generic-garbage-collector"),
    ],
)
def test_nobody_else_does(request_: Request) -> None:
    """The last ones do what anybody in a namespace writes into a template or an ownerReference."""
    assert not forces_step_back(request_, "shop", ("flux-system",))


def test_no_step_back_follows_in_cluster_scope() -> None:
    assert not forces_step_back(asks(PLUGIN), None, ())


def test_every_controller_that_the_cluster_is_born_with_is_known() -> None:
    import iocaudit

    file = next(Path(iocaudit.__file__).parent.rglob("rbac/defaults.json"))
    accounts = {
        subject["name"]
        for one in json.loads(file.read_text("utf-8"))
        if one["metadata"]["name"].startswith("system:controller:")
        for subject in one.get("subjects", ())
    }
    assert len(accounts) > 30
    for account in accounts:
        assert not forces_step_back(asks(f"system:serviceaccount:kube-system:{account}"), "shop", ()), account


def test_stages_are_those_of_the_schema() -> None:
    import yaml

    crd = yaml.safe_load((Path(__file__).parents[3] / "manifests/crds/auditpolicies.yaml").read_text("utf-8"))
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    stage = properties["status"]["properties"]["rollout"]["properties"]["stage"]
    assert stage["enum"] == list(RolloutStage)
    assert RolloutState.TO not in (RolloutState.FROM, RolloutState.BACK)
