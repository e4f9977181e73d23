"""Any set of objects that is denied in one order for a grant or a mount is denied in every order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ordered import (
    EVERYTHING,
    NAMED_WEBHOOK,
    PODS,
    READ,
    SECRETS,
    aggregate,
    binding,
    claim,
    pod,
    role,
    rule,
    volume,
)
from tests.unit.admission.playing import Json, Step, denied_by, identity, orders

_BINDINGS_ALONE = {
    "match": {"clusterScoped": True, "namespaces": ["*"]},
    "checks": [
        {"ids": ["cluster-admin-binding", "anonymous-binding"], "mode": "deny"},
        {"groups": ["rbac", "volumes"], "mode": "audit"},
    ],
}
_MOUNTS_ALONE = {
    "match": {"clusterScoped": True, "namespaces": ["*"]},
    "checks": [{"ids": ["sensitive-host-path"], "mode": "deny"}, {"groups": ["volumes"], "mode": "audit"}],
}
_RULES = st.sampled_from([SECRETS, PODS, READ, EVERYTHING, NAMED_WEBHOOK, rule("create", "things", "example.com")])
_RULES_OF = st.lists(_RULES, min_size=1, max_size=2)
_SUBJECTS = st.sampled_from(
    ["User:mallory", "ServiceAccount:shop/agent", "Group:system:authenticated", "Group:system:unauthenticated"]
)
_PLACES = st.sampled_from(["", "shop", "kube-system"])


def same_in_every_order(steps: list[Step], policies: tuple[Json, ...]) -> None:
    """Fails with an order in which something is denied, and one in which nothing is."""
    outcomes = [(order, denied_by(order, *policies)) for order in orders(steps)]
    denied = [(order, checks) for order, checks in outcomes if checks]
    if denied and len(denied) < len(outcomes):
        let = next(order for order, checks in outcomes if not checks)
        told = [[(identity(step.raw), step.nth) for step in order] for order in (denied[0][0], let)]
        pytest.fail(f"denied by {denied[0][1]}: {told[0]}; not denied: {told[1]}; steps: {steps}")


@st.composite
def role_steps(draw: st.DrawFn, name: str) -> list[Step]:
    """A ClusterRole or Role, written at once or in two steps: its rules, or its labels, come later."""
    namespace = draw(st.sampled_from(["", "", "shop"]))
    labels = None if namespace else draw(st.sampled_from([None, {"into-a": "true"}]))
    whole = role(name, *draw(_RULES_OF), namespace=namespace, labels=labels)
    if not draw(st.booleans()):
        return [Step(whole)]
    first = dict(whole)
    if labels and draw(st.booleans()):
        first["metadata"] = {key: value for key, value in whole["metadata"].items() if key != "labels"}
    else:
        first["rules"] = draw(st.sampled_from([[], [READ]]))
    return [Step(first), Step(whole, 1)]


@st.composite
def binding_steps(draw: st.DrawFn, name: str) -> list[Step]:
    to, namespace = draw(st.sampled_from(["r", "s", "a"])), draw(_PLACES)
    kind = "Role" if namespace and to != "a" and draw(st.booleans()) else "ClusterRole"
    whole = binding(name, to, draw(_SUBJECTS), namespace=namespace, role_kind=kind)
    if draw(st.integers(0, 3)):
        return [Step(whole)]
    return [Step({**whole, "subjects": []}), Step(whole, 1)]


_ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": "shop"}}


@st.composite
def grants(draw: st.DrawFn) -> list[Step]:
    """Roles, an aggregate, bindings and a ServiceAccount, in at most five writes."""
    steps = draw(role_steps("r"))
    steps += draw(binding_steps("b"))
    for more in (
        role_steps("s"),
        binding_steps("c"),
        st.just([Step(aggregate("a", "into-a"))]),
        st.just([Step(_ACCOUNT)]),
    ):
        added = draw(st.one_of(st.just(list[Step]()), more))
        if len(steps) + len(added) <= 5:
            steps += added
    return steps


@settings(max_examples=60, deadline=None)
@given(grants(), st.sampled_from([(), (_BINDINGS_ALONE,)]))
def test_a_grant_that_is_denied_in_one_order_is_denied_in_all(steps: list[Step], policies: tuple[Json, ...]) -> None:
    same_in_every_order(steps, policies)


@st.composite
def mounts(draw: st.DrawFn) -> list[Step]:
    """A volume, a claim that may get it, and a pod or Deployment that mounts the claim."""
    space = draw(st.sampled_from(["shop", "shop", "kube-system"]))
    path = draw(st.sampled_from(["/etc", "/", "/srv/data", "/var/lib/kubelet/pods"]))
    kind = draw(st.sampled_from(["hostPath", "local"]))
    storage_class = draw(st.sampled_from(["", "slow"]))
    reserved = draw(st.sampled_from(["", f"{space}/c", "shop/other", "kube-system/c"]))
    whole = volume("v", reserved, path=path, kind=kind, storageClassName=storage_class)
    steps = [Step(whole)]
    if reserved and not reserved.startswith("kube-system") and draw(st.booleans()):
        first = volume("v", "kube-system/x", path=path, kind=kind, storageClassName=storage_class)
        steps = [Step(first), Step(whole, 1)]
    asked = draw(st.sampled_from([{}, {"storageClassName": "slow"}, {"storageClassName": ""}, {"volumeName": "v"}]))
    steps.append(Step(claim("c", space, **asked)))
    mounted = pod("p", "c", space)
    template = {"metadata": {"labels": {"app": "p"}}, "spec": mounted["spec"]}
    deployment = {**mounted, "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}
    steps += draw(st.sampled_from([[], [Step(mounted)], [Step(deployment)]]))
    return steps


@settings(max_examples=60, deadline=None)
@given(mounts(), st.sampled_from([(), (_MOUNTS_ALONE,)]))
def test_a_mount_that_is_denied_in_one_order_is_denied_in_all(steps: list[Step], policies: tuple[Json, ...]) -> None:
    same_in_every_order(steps, policies)
