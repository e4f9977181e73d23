"""A wider grant is never judged milder than a narrower one, whatever it is and wherever it holds."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iocaudit.core.report import Report
from iocaudit.core.resource import Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_reader import read_policies
from tests.support.rbac_objects import CATALOGUE, Json, binding, objects, role, rule
from tests.unit.checks.test_rbac_grants import TABLE

RBAC = "rbac.authorization.k8s.io"
CHECKS = CATALOGUE.select(check.id for check in CATALOGUE if check.group == "rbac")
"""Not those on this auditor's own objects: they are about grants that name them."""
AUDITORS = {profile: read_policies([], CHECKS, profile=profile) for profile in ("default", "strict")}

VERBS = st.sampled_from(
    [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "escalate",
        "bind",
        "impersonate",
        "impersonate:user-info",
        "approve",
        "sign",
        "*",
        "bbb",
    ]
)
GROUPS = st.sampled_from(
    [
        "",
        *f"""apps batch {RBAC} authentication.k8s.io certificates.k8s.io admissionregistration.k8s.io networking.k8s.io
        events.k8s.io cilium.io argoproj.io example.org *""".split(),
    ]
)
RESOURCES = st.sampled_from(
    [
        "pods",
        "pods/exec",
        "pods/ephemeralcontainers",
        "pods/portforward",
        "pods/log",
        "secrets",
        "configmaps",
        "nodes",
        "nodes/proxy",
        "nodes/status",
        "serviceaccounts",
        "serviceaccounts/token",
        "users",
        "groups",
        "uids",
        "userextras/scopes",
        "services/status",
        "endpoints",
        "events",
        "deployments",
        "jobs",
        "workflows",
        "roles",
        "clusterroles",
        "rolebindings",
        "clusterrolebindings",
        "signers",
        "certificatesigningrequests/approval",
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "networkpolicies",
        "ciliumclusterwidenetworkpolicies",
        "persistentvolumes",
        "aaa",
        "*",
        "*/exec",
        "*/status",
        "*/bbb",
    ]
)
NAMES = st.sampled_from(
    ["*", "Not-Possible", "coredns", "view", "edit", "cluster-admin", "bot", "bob", "system:masters", "mine", "p", ""]
)
SPACES = st.sampled_from([None, "shop", "lab", "kube-system"])
(POD,) = objects(
    """
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec: {serviceAccountName: bot, containers: []}
"""
)
(MINE,) = objects(
    """
apiVersion: v1
kind: Pod
metadata: {name: mine, namespace: lab}
spec: {serviceAccountName: me, containers: []}
"""
)
OTHERS = st.lists(
    st.sampled_from(
        [
            binding("bot", "cluster-admin", "ServiceAccount:shop/bot"),
            binding("bob", "cluster-admin", "User:bob"),
            binding("lab", "mint", "ServiceAccount:lab/bot", namespace="shop"),
            binding("acts", "acts", "ServiceAccount:lab/me"),
            role("mint", rule("create", "serviceaccounts/token")),
            role("acts", rule("impersonate", "users", names="nobody")),
            role("mine", rule("create", "pods")),
            POD,
        ]
    ),
    max_size=5,
    unique_by=id,
)


class Grant(NamedTuple):
    """A role and a binding of it; the role's second rule stays as it is."""

    first: Json
    second: Json | None
    at_home: str | None
    bound_in: str | None
    subjects: tuple[str, ...] = ("ServiceAccount:lab/me",)

    def objects(self) -> list[Resource]:
        rules = [self.first, *([self.second] if self.second else [])]
        kind = "Role" if self.at_home is not None else "ClusterRole"
        return [
            role("mine", *rules, namespace=self.at_home),
            binding("b", "mine", *self.subjects, namespace=self.at_home or self.bound_in, role_kind=kind),
        ]


def _listed(draw: st.DrawFn, of: st.SearchStrategy[str], most: int) -> list[str]:
    return draw(st.lists(of, min_size=1, max_size=most, unique=True))


@st.composite
def rules(draw: st.DrawFn) -> Json:
    """One of words that go together, or of any."""
    if draw(st.booleans()):
        found = dict(draw(st.sampled_from([row[1] for row in TABLE])))
        if draw(st.booleans()):
            found["resourceNames"] = _listed(draw, NAMES, 2)
        return found
    found = {
        "verbs": _listed(draw, VERBS, 3),
        "apiGroups": _listed(draw, GROUPS, 2),
        "resources": _listed(draw, RESOURCES, 3),
    }
    if draw(st.booleans()):
        found["resourceNames"] = _listed(draw, NAMES, 2)
    return found


@st.composite
def wider(draw: st.DrawFn, narrow: Json) -> Json:
    """More of anything, and all objects or more of them where only some are named."""
    found = dict(narrow)
    for key, of in (("verbs", VERBS), ("apiGroups", GROUPS), ("resources", RESOURCES)):
        found[key] = [*narrow[key], *draw(st.lists(of, max_size=2))]
    if "resourceNames" in narrow:
        found["resourceNames"] = [*narrow["resourceNames"], *draw(st.lists(NAMES, max_size=1))]
        if draw(st.booleans()):
            del found["resourceNames"]
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Grant, Grant, list[Resource]]:
    """A grant, and one that gives all of it and perhaps more."""
    narrow, second = draw(rules()), draw(st.none() | rules())
    at_home, bound_in = draw(SPACES), draw(SPACES)
    less = Grant(narrow, second, at_home, bound_in)
    more = less._replace(first=draw(wider(narrow)), second=second or draw(st.none() | rules()))
    if draw(st.booleans()):
        more = more._replace(bound_in=None)
    if draw(st.booleans()):
        more = more._replace(subjects=(*less.subjects, "Group:system:serviceaccounts", "User:alice"))
    return less, more, draw(OTHERS)


def audited(grant: Grant, others: list[Resource], profile: str) -> dict[str, Report]:
    """The reports on the role, the binding and a pod of its subject."""
    granted = grant.objects()
    world = World()
    for resource in (*(one for one in others if one.name != "mine" or grant.at_home is not None), *granted, MINE):
        world.put(resource)
    auditor = Auditor(CHECKS, AUDITORS[profile], world)
    reports = {name: auditor.audit(one) for name, one in zip(("role", "binding", "pod"), (*granted, MINE), strict=True)}
    assert not any(report.faults for report in reports.values()), reports
    return reports


def worst(report: Report, path: str, check: str | None = None) -> Severity | None:
    """The worst hit there: on the first rule of a role, the same subject of a binding, anywhere in a pod."""
    found = [
        one.severity
        for one in report.found
        if one.hit.path == path and (one.hit.at in (None, "rules[0]") or path != "rules") and check in (None, one.check)
    ]
    return max(found, default=None)


def milder(less: Grant, more: Grant, others: list[Resource], profile: str) -> list[str]:
    """What is said of the narrower grant and not, nor anything as bad of the same, of the wider one."""
    before, after = audited(less, others, profile), audited(more, others, profile)
    lost = []
    for name, report in before.items():
        for one in report.found:
            path = one.hit.path
            if path == "rules" and one.hit.at != "rules[0]":
                continue
            same = worst(after[name], path, one.check)
            if same is None:
                same = worst(after[name], path)
            if same is None or same < one.severity:
                lost.append(f"{one.severity.label} {one.check} on {name}: {one.hit.message}; now {same}")
    return lost


@settings(max_examples=150, deadline=None)
@given(pairs(), st.sampled_from(["default", "strict"]))
@example(
    (
        Grant(rule("update", "configmaps", names="coredns"), None, "kube-system", None),
        Grant(rule("update", "configmaps"), None, "kube-system", None),
        [],
    ),
    "default",
)
@example(
    (
        Grant(rule("patch", "ciliumnetworkpolicies", "cilium.io"), None, None, "lab"),
        Grant(rule("patch", "*", "cilium.io"), None, None, "lab"),
        [],
    ),
    "default",
)
@example(
    (
        Grant(rule("bind", "roles", RBAC), None, None, "lab"),
        Grant(rule("*", "*", "*"), None, None, "lab"),
        [],
    ),
    "default",
)
def test_a_wider_grant_is_never_judged_milder(pair: tuple[Grant, Grant, list[Resource]], profile: str) -> None:
    less, more, others = pair
    assert not milder(less, more, others, profile), (less, more)


@pytest.mark.parametrize("space", ["shop", "lab", "kube-system"])
@pytest.mark.parametrize("to", ["admin", "edit", "view", "cluster-admin"])
def test_a_binding_in_the_whole_cluster_is_never_milder_than_in_one_namespace(to: str, space: str) -> None:
    narrow, wide = binding("b", to, "User:alice", namespace=space), binding("b", to, "User:alice")
    world = World()
    world.put(binding("bot", "cluster-admin", "ServiceAccount:shop/bot"))
    auditor = Auditor(CHECKS, AUDITORS["default"], world)
    before, after = auditor.audit(narrow), auditor.audit(wide)
    for one in before.found:
        assert (worst(after, one.hit.path) or Severity.LOW) >= one.severity, one
