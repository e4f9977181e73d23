"""RBAC objects under our names: ours are let be, other content is denied to all but those who hold everything."""

from __future__ import annotations

import copy

import pytest

from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.posture import Verdict
from iocaudit.engine.presets import Preset
from iocaudit.install.rbac import bindings, cluster_roles, namespaced_roles
from iocaudit.judging.review import decide
from tests.support.plain_reviews import Json, review
from tests.support.rbac_objects import binding, role, rule

CATALOGUE = builtin_catalogue()
INSTALLED = [*cluster_roles(CATALOGUE), *bindings("iocaudit"), *namespaced_roles("iocaudit")]
OPERATOR = next(raw for raw in INSTALLED if raw["kind"] == "ClusterRole" and "operator" in raw["metadata"]["name"])
BINDING = next(raw for raw in INSTALLED if raw["kind"] == "ClusterRoleBinding")
GRANTS = (
    binding("root", "cluster-admin", "User:root", "ServiceAccount:flux-system/flux"),
    binding("parts", "reads", "User:parts"),
    binding("more-parts", "writes", "Group:team"),
    role("reads", rule("get,list,watch", "*", "*")),
    role("writes", rule("create,update,patch,delete", "*", "*")),
    role("binder", rule("bind", "clusterroles", "rbac.authorization.k8s.io")),
    binding("binder", "binder", "User:bob"),
    binding("admins", "cluster-admin", "User:local", namespace="shop"),
)


def widened() -> Json:
    raw = copy.deepcopy(OPERATOR)
    raw["rules"].append({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})
    return raw


def asked(new: Json, old: Json | None = None, *, user: str, groups: tuple[str, ...] = (), mode: str = "") -> Verdict:
    world = World()
    for resource in (*GRANTS, *(Resource(raw, CLUSTER) for raw in INSTALLED)):
        world.put(resource)
    policy = {"metadata": {"name": "p"}, "spec": {"checks": [{"ids": ["guard-tampering"], "mode": mode}]}}
    auditor = Auditor(CATALOGUE, read_policies([policy] if mode else [], CATALOGUE, preset=Preset.LOCKDOWN), world)
    request = review("UPDATE" if old else "CREATE", new, old, user=user, groups=("system:authenticated", *groups))
    return decide(request, auditor, Deadline.within(3))


@pytest.mark.parametrize("raw", INSTALLED, ids=lambda raw: f"{raw['kind']} {raw['metadata']['name']}")
def test_our_own_objects_are_let_be_whoever_applies_them(raw: Json) -> None:
    verdict = asked(raw, user="bob")
    assert (verdict.allowed, verdict.warnings) == (True, ())


@pytest.mark.parametrize(
    ("user", "groups", "allowed"),
    [
        ("root", (), True),
        ("system:serviceaccount:flux-system:flux", (), True),
        ("anyone", ("system:masters",), True),
        ("parts", ("team",), True),
        ("parts", (), False),
        ("bob", (), False),
        ("local", (), False),
        ("system:serviceaccount:shop:flux", (), False),
    ],
)
@pytest.mark.parametrize("update", [True, False])
def test_other_content_under_our_names(user: str, groups: tuple[str, ...], allowed: bool, update: bool) -> None:
    verdict = asked(widened(), OPERATOR if update else None, user=user, groups=groups)
    assert verdict.allowed is allowed
    hits = verdict.warnings if allowed else verdict.denials
    assert any("a name of this auditor's own install" in found.hit.message for found in hits)
    assert ("own" in verdict.spared) is allowed


def test_a_subject_more_in_our_binding() -> None:
    raw = copy.deepcopy(BINDING)
    raw["subjects"].append({"kind": "User", "name": "bob"})
    assert not asked(raw, BINDING, user="bob").allowed
    assert asked(raw, BINDING, user="root").allowed


def test_a_change_of_labels_or_back_to_our_own_is_let_be() -> None:
    labelled = widened()
    labelled["metadata"]["labels"] = {"any": "thing"}
    assert asked(labelled, widened(), user="bob").allowed
    assert asked(OPERATOR, widened(), user="bob").allowed


def test_the_mode_is_that_of_guard_tampering() -> None:
    view = copy.deepcopy(next(raw for raw in INSTALLED if raw["metadata"]["name"] == "iocaudit-view"))
    view["rules"].append({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})
    assert [found.check for found in asked(view, user="bob").denials] == ["guard-tampering"]
    warned = asked(view, user="bob", mode="warn")
    assert (warned.allowed, [found.check for found in warned.warnings]) == (True, ["guard-tampering"])
    assert asked(view, user="bob", mode="audit").observed
    assert asked(view, user="bob", mode="off") == Verdict(allowed=True)


def test_a_name_that_only_resembles_ours_is_judged_as_any_other() -> None:
    raw = widened()
    raw["metadata"]["name"] = "iocaudit-operators"
    raw["rules"] = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    assert asked(raw, user="bob") == Verdict(allowed=True)
