"""Random policies that select by everything: what is registered, weakened, in conflict and decided is as asked one by
one."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.check import Check
from iocaudit.core.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    DEPLOYMENT,
    KINDS,
    POD,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    Kind,
)
from iocaudit.core.kinds.connections import POD_EXEC
from iocaudit.core.request import Operation, Request, groups_of
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.completes import COMPLETES, is_completed
from iocaudit.engine.denied_rules import denied_rules
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_kinds import is_wide
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Preset
from iocaudit.engine.setting import Setting
from iocaudit.engine.weakening import taken, taken_by_change, without

Json = dict[str, Any]
CATALOGUE = builtin_catalogue().select(
    (
        "privileged-container",
        "exec-session",
        "masters-group-binding",
        "admin-role-bound-widely",
        "ephemeral-container-added",
    )
)
CHECKS = list(CATALOGUE)
NAMESPACES = ("shop", "bar")
OPERATIONS = (Operation.CREATE, Operation.UPDATE, Operation.CONNECT)
USERS = tuple(
    (user, groups_of(user, groups))
    for user, groups in (
        ("alice", ()),
        ("eve", ("contractors",)),
        ("bob", ("contractors", "staff")),
        ("carol", ("staff",)),
        ("alice", ("contractors", "staff")),
        ("system:serviceaccount:shop:ci", ()),
        ("system:serviceaccount:shop:ci", ("contractors", "staff")),
        ("someone-else", ()),
    )
)
SUBJECTS = (
    {"kind": "User", "name": "alice"},
    {"kind": "Group", "name": "contractors"},
    {"kind": "Group", "name": "sta*"},
    {"kind": "ServiceAccount", "name": "*", "namespace": "shop"},
    {"kind": "Group", "name": "system:authenticated"},
)
KINDS_NAMED = ("Pod", "Deployment", "PodExecOptions", "*Binding.rbac.authorization.k8s.io", "Role*", "*")


@st.composite
def raws(draw: st.DrawFn) -> Json:
    match: Json = {}
    if draw(st.booleans()):
        match["namespaces"] = draw(st.sampled_from([["shop"], ["bar"], ["sh*"], ["shop", "bar"]]))
        match["clusterScoped"] = True
    if draw(st.booleans()):
        match["kinds"] = draw(st.lists(st.sampled_from(KINDS_NAMED), min_size=1, max_size=2, unique=True))
    if draw(st.booleans()):
        match["operations"] = draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=2, unique=True))
    if draw(st.booleans()):
        match["subjects"] = draw(st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=2, unique_by=str))
    if draw(st.booleans()) and draw(st.booleans()):
        match["excludeSubjects"] = [draw(st.sampled_from(SUBJECTS))]
    spec: Json = {"priority": draw(st.integers(0, 2)), **({"match": match} if match else {})}
    rule = st.fixed_dictionaries(
        {"ids": st.lists(st.sampled_from([c.id for c in CHECKS]), min_size=1, max_size=2, unique=True)},
        optional={"mode": st.sampled_from(["deny", "warn", "audit", "off"])},
    )
    spec["checks"] = draw(st.lists(rule, max_size=2))
    if not spec["checks"] or draw(st.integers(0, 2)) == 0:
        spec["preset"] = draw(st.sampled_from([preset.value for preset in Preset]))
    return {"spec": spec}


@st.composite
def drawn(draw: st.DrawFn, most: int = 4) -> list[Policy]:
    found = draw(st.lists(raws(), min_size=1, max_size=most))
    return [read_policy({"metadata": {"name": f"p{at}"}} | raw, CATALOGUE) for at, raw in enumerate(found)]


def requests() -> Iterator[Request]:
    for operation, (user, groups) in itertools.product(OPERATIONS, USERS):
        yield Request(operation, user, groups)


def asked(check: Check) -> Iterator[tuple[Kind, Operation, str | None, Request]]:
    """Everything that may be asked of a check: kind, operation, namespace and requester."""
    for kind, request in itertools.product(check.looks_at, requests()):
        if kind in TOLD and request.operation in check.operations:
            for namespace in (None,) if is_wide(kind) else NAMESPACES:
                yield kind, request.operation, namespace, request


TOLD = {POD, DEPLOYMENT, POD_EXEC, ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, SERVICE}
TOLD |= {KINDS["batch", "Job"]}
"""Enough kinds: to every policy here each other is like one of these."""


def setting(whole: PolicySet, check: Check, kind: Kind, namespace: str | None, request: Request | None) -> Setting:
    return whole.setting(check, whole.matching(namespace, {}, kind=kind, request=request))


@given(drawn(), st.sampled_from(list(Preset)))
@settings(max_examples=50, deadline=None)
def test_what_is_registered_is_what_somebody_may_be_denied(policies: list[Policy], preset: Preset) -> None:
    """Kind by kind and operation by operation: nothing that is denied is left out, and nothing else is in it."""
    whole = PolicySet(CATALOGUE, policies, preset=preset)
    denied: set[tuple[Kind, Operation]] = set()
    completed: set[tuple[str, Kind]] = set()
    places: set[str] = set()
    for check in CHECKS:
        for kind, operation, namespace, request in asked(check):
            if setting(whole, check, kind, namespace, request).can_deny:
                denied.add((kind, operation))
                completed |= {(check.id, kind)} if operation is Operation.CREATE else set()
                places |= {namespace} if namespace is not None else set()
    for kind, dependents in COMPLETES.items():
        for check in CHECKS:
            if is_completed(check, kind, dependents) and any((check.id, one) in completed for one in dependents):
                denied |= {(kind, Operation.CREATE), (kind, Operation.UPDATE)}
    registered = denied_rules(CATALOGUE, whole, None)
    elsewhere = {
        (kind, operation)
        for check in CHECKS
        for kind, operation, _, request in asked(check)
        for namespace in ("zq9", "sh-x")
        if not is_wide(kind) and setting(whole, check, kind, namespace, request).can_deny
    }
    found = {(kind, operation) for kind, wanted in registered.items() for operation in wanted if kind in TOLD}
    assert found >= {one for one in denied if one[0] in TOLD}
    # Who asks is not known where webhooks are registered: somebody may be in every group, or in none.
    if not any(policy.by_subject for policy in policies):
        assert {one for one in found if one[0] not in COMPLETES} <= denied | elsewhere
    names = whole.denying.namespaces()
    assert names is None or places <= names
    assert (
        names is not None
        or any(policy.namespaces is None or "sh*" in policy.namespaces for policy in policies)
        or (preset in (Preset.GUARD, Preset.LOCKDOWN))
    )


def weakens(whole: PolicySet, policy: Policy) -> bool:
    """Whether a policy decides anywhere, and denies less there than the preset would."""
    for check in CHECKS:
        for kind, _, namespace, request in asked(check):
            matching = whole.matching(namespace, {}, kind=kind, request=request)
            now = whole.setting(check, matching)
            if policy.name not in (now.policy, now.preset_by if now.policy is None else None):
                continue
            others = [one for one in matching if one.name != policy.name]
            choices = (whole.chosen(matching), whole.chosen(others))
            was = whole.default(check, max(choices, key=lambda choice: choice.preset.strictness))
            if was.can_deny and not now.can_deny:
                return True
    return False


@given(drawn(3))
@settings(max_examples=40, deadline=None)
def test_what_a_policy_takes_away_from_any_request_is_told(policies: list[Policy]) -> None:
    whole = PolicySet(CATALOGUE, policies, preset=Preset.LOCKDOWN)
    for policy in policies:
        told = [one for one in taken(policy, whole) if one.path in ("spec.checks", "spec.preset")]
        assert bool(told) or not weakens(whole, policy), policy


@given(drawn(3), raws())
@settings(max_examples=30, deadline=None)
def test_a_change_that_lowers_what_is_denied_of_any_request_is_told(policies: list[Policy], changed: Json) -> None:
    """Narrowed to some subjects, operations or kinds, too, and removed."""
    before = PolicySet(CATALOGUE, policies, preset=Preset.GUARD)
    anew = read_policy({"metadata": {"name": "p0"}} | changed, CATALOGUE)
    for after in (without(before, "p0", anew), without(before, "p0")):
        lost = any(
            setting(before, check, kind, namespace, request).can_deny
            and not setting(after, check, kind, namespace, request).can_deny
            for check in CHECKS
            for kind, _, namespace, request in asked(check)
        )
        told = [one for one in taken_by_change(before, after, "p0") if one.path in ("spec.checks", "spec.preset")]
        assert told or not lost


@given(drawn(5), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_nothing_but_priority_and_name_orders_policies(policies: list[Policy], chance: random.Random) -> None:
    """Whatever was read, made or asked first."""
    shuffled = policies.copy()
    chance.shuffle(shuffled)
    one, other = PolicySet(CATALOGUE, policies), PolicySet(CATALOGUE, shuffled)
    questions = [
        (namespace, kind, request)
        for namespace in (*NAMESPACES, None)
        for kind in sorted(TOLD, key=str)
        for request in (None, *requests())
    ]
    answers = {}
    for namespace, kind, request in questions:
        found = one.settings(namespace, kind=kind, request=request)
        answers[namespace, kind, request] = found
        # Exactly one setting for a request and a check, decided by the first that names it.
        ordered = sorted(policies, key=lambda policy: (-policy.priority, policy.name))
        holding = [p for p in ordered if p.matches(namespace, {}) and p.is_for(kind) and p.holds(request)]
        for check in CHECKS:
            first = next((policy.name for policy in holding if policy.rule_for(check)), None)
            wanted = one.setting(check, holding)
            assert wanted.policy == first
            assert found.get(check.id, wanted) == wanted
    chance.shuffle(questions)
    for namespace, kind, request in questions:
        assert other.settings(namespace, kind=kind, request=request) == answers[namespace, kind, request]


@given(drawn(4))
@settings(max_examples=25, deadline=None)
def test_policies_of_one_priority_that_decide_one_request_are_in_conflict(policies: list[Policy]) -> None:
    whole = PolicySet(CATALOGUE, policies)
    conflicts = whole.conflicts
    for check in CHECKS:
        for kind, _, namespace, request in asked(check):
            naming = [p for p in whole.matching(namespace, {}, kind=kind, request=request) if p.rule_for(check)]
            for one, other in itertools.combinations(naming, 2):
                if one.priority == other.priority:
                    assert other.name in conflicts[one.name]
                    assert one.name in conflicts[other.name]
