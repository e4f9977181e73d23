"""Policies that select by kind, operation and subject: which of them decides for a request, and what stands without."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds import (
    CLUSTER_ROLE_BINDING,
    DEPLOYMENT,
    KINDS,
    NAMESPACE,
    POD,
    ROLE_BINDING,
    SERVICE,
    Kind,
)
from iocaudit.core.kinds.connections import POD_EXEC
from iocaudit.core.request import Operation, Request, groups_of
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies, read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Mode

CATALOGUE = builtin_catalogue()
Json = dict[str, Any]
CHECK = "privileged-container"
CONTRACTORS = {"kind": "Group", "name": "contractors"}


def raw(name: str, mode: str = "deny", *, priority: int = 0, check: str = CHECK, **match: Any) -> Json:
    checks = [{"ids": [check], "mode": mode}]
    spec: Json = {"priority": priority, "checks": checks, **({"match": match} if match else {})}
    return {"metadata": {"name": name}, "spec": spec}


def policies(*raws: Json) -> PolicySet:
    return read_policies(raws, CATALOGUE)


def by(user: str, *groups: str, operation: Operation = Operation.CREATE) -> Request:
    return Request(operation, user, groups_of(user, groups))


def decides(
    whole: PolicySet,
    kind: Kind | None = POD,
    request: Request | None = None,
    namespace: str | None = "shop",
    check: str = CHECK,
) -> str | None:
    return whole.settings(namespace, {}, kind=kind, request=request)[check].policy


# -- kinds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "there", "elsewhere"),
    [
        ("Deployment", [DEPLOYMENT], [POD, SERVICE]),
        ("Deployment.apps", [DEPLOYMENT], [POD]),
        ("*.apps", [DEPLOYMENT], [POD, SERVICE]),
        ("Deploy*", [DEPLOYMENT], [POD]),
        ("Service", [SERVICE, KINDS["serving.knative.dev", "Service"]], [DEPLOYMENT]),
        ("Service.serving.knative.dev", [KINDS["serving.knative.dev", "Service"]], [SERVICE]),
        ("Pod", [POD, DEPLOYMENT, KINDS["batch", "CronJob"], KINDS["argoproj.io", "Rollout"]], [SERVICE, POD_EXEC]),
        ("*", [POD, SERVICE, POD_EXEC, NAMESPACE], []),
    ],
)
def test_a_kind_is_selected_by_name_group_and_glob(pattern: str, there: list[Kind], elsewhere: list[Kind]) -> None:
    whole = policies(raw("some", kinds=[pattern]))
    assert {kind: decides(whole, kind) for kind in there} == dict.fromkeys(there, "some")
    assert {kind: decides(whole, kind) for kind in elsewhere} == dict.fromkeys(elsewhere)


def test_what_stands_is_decided_by_kind_too() -> None:
    whole = policies(raw("deployments", kinds=["Deployment"], priority=1), raw("all", "warn"))
    assert decides(whole, DEPLOYMENT) == decides(whole, DEPLOYMENT, by("alice")) == "deployments"
    assert decides(whole, POD) == decides(whole, POD, by("alice")) == decides(whole, None) == "all"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Deploymnt", "no check looks at objects of kind 'Deploymnt' (did you mean Deployment?)"),
        ("Deployment.extensions", "no check looks at objects of kind 'Deployment.extensions'"),
        ("Lease.coordination.k8s.io", "no check looks at objects of kind 'Lease.coordination.k8s.io'"),
        ("pods", "'pods' is not a Kind or a Kind.group, or a glob of them"),
        ("pods/exec", "'pods/exec' is not a Kind or a Kind.group, or a glob of them"),
        ("Pod.", "'Pod.' is not a Kind or a Kind.group, or a glob of them"),
    ],
)
def test_a_kind_that_no_check_looks_at_is_refused(kind: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        read_policy(raw("p", kinds=["Pod", kind]), CATALOGUE)
    assert f"spec.match.kinds[1]: {said}" in str(refused.value)


def test_a_kind_of_cluster_scope_where_that_is_left_out_is_refused() -> None:
    for place in ({"namespaces": ["shop"]}, {"excludeNamespaces": ["x"]}, {"clusterScoped": False}):
        with pytest.raises(PolicyError, match=r"kinds\[0\]: ClusterRoleBinding is of cluster scope"):
            read_policy(raw("p", kinds=["ClusterRoleBinding"], **place), CATALOGUE)
    read_policy(raw("p", kinds=["*RoleBinding", "Namespace"], namespaces=["shop"]), CATALOGUE)
    whole = policies(
        raw("p", kinds=["ClusterRoleBinding"], namespaces=[], clusterScoped=True, check="masters-group-binding")
    )
    assert decides(whole, CLUSTER_ROLE_BINDING, namespace=None, check="masters-group-binding") == "p"
    assert decides(whole, ROLE_BINDING, check="masters-group-binding") is None


def test_without_a_place_it_is_everywhere() -> None:
    """``match`` that narrows by kind, operation or subject says nothing of places."""
    for match in ({"kinds": ["*"]}, {"subjects": [CONTRACTORS]}, {"operations": ["CREATE"]}):
        policy = read_policy(raw("p", **match), CATALOGUE)
        assert policy.cluster_scoped
        assert policy.is_universal
    assert not read_policy(raw("p", kinds=["Pod"], namespaces=["shop"]), CATALOGUE).cluster_scoped


@pytest.mark.parametrize("field", ["kinds", "operations", "subjects", "excludeSubjects"])
def test_a_list_that_names_nothing_is_refused(field: str) -> None:
    what = ": leave" if field == "excludeSubjects" else ", so the policy would apply to nothing: leave"
    with pytest.raises(PolicyError, match=rf"spec\.match\.{field}: is empty{what}"):
        read_policy(raw("p") | {"spec": {"preset": "guard", "match": {field: []}}}, CATALOGUE)


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("pods", "Pod"),
        ("pod", "Pod"),
        ("deployments.apps", "Deployment.apps"),
        ("deployment", "Deployment"),
        ("Deployments", "Deployment"),
        ("ingresses", "Ingress"),
        ("networkpolicies.networking.k8s.io", "NetworkPolicy.networking.k8s.io"),
        ("clusterRoleBindings", "ClusterRoleBinding"),
        ("Deploymnt", "Deployment"),
        ("Deployment.v1.apps", "Deployment.apps"),
    ],
)
def test_the_kind_that_is_meant_is_named(spelled: str, meant: str) -> None:
    with pytest.raises(PolicyError, match=rf"kinds\[0\]: .*\(did you mean {meant}\?\)"):
        read_policy(raw("p", kinds=[spelled]), CATALOGUE)


@pytest.mark.parametrize("name", ["shop/ci", "shop:ci", "system:serviceaccount:shop:ci"])
def test_a_service_account_is_named_without_its_namespace(name: str) -> None:
    """No request has such a user: what was meant to be denied, or left out, would not be."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "shop"}
    for written in (raw("p", subjects=[subject]), raw("p", excludeSubjects=[subject])):
        with pytest.raises(PolicyError, match=r"ubjects\[0\]\.name: no ServiceAccount and no namespace has such"):
            read_policy(written, CATALOGUE)


# -- operations ----------------------------------------------------------------------------------------------


def test_an_operation_selects_requests() -> None:
    whole = policies(raw("creates", operations=["CREATE"], priority=1), raw("all", "warn"))
    assert decides(whole, POD, by("alice")) == "creates"
    assert decides(whole, POD, by("alice", operation=Operation.UPDATE)) == "all"
    assert decides(whole, POD) == "all", "what stands was made by no request that is known"


def test_no_check_looks_at_delete() -> None:
    with pytest.raises(PolicyError, match=r"operations\[0\]: 'DELETE' is not one of CONNECT, CREATE, UPDATE"):
        read_policy(raw("p", operations=["DELETE"]), CATALOGUE)


# -- subjects ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "request_", "held"),
    [
        ({"kind": "User", "name": "alice"}, by("alice"), True),
        ({"kind": "User", "name": "alice"}, by("alice2"), False),
        ({"kind": "User", "name": "*@hooli.com"}, by("bob@hooli.com"), True),
        ({"kind": "User", "name": "*@hooli.com"}, by("bob@hooli.com.evil.example"), False),
        ({"kind": "User", "name": "alice"}, by("bob", "alice"), False),
        (CONTRACTORS, by("bob", "staff", "contractors"), True),
        (CONTRACTORS, by("contractors"), False),
        ({"kind": "Group", "name": "oidc:team-?"}, by("bob", "oidc:team-a"), True),
        ({"kind": "Group", "name": "oidc:team-?"}, by("bob", "oidc:team-ab"), False),
        ({"kind": "Group", "name": "system:authenticated"}, by("bob"), True),
        ({"kind": "Group", "name": "system:authenticated"}, by("system:anonymous"), False),
        ({"kind": "ServiceAccount", "name": "ci", "namespace": "shop"}, by("system:serviceaccount:shop:ci"), True),
        ({"kind": "ServiceAccount", "name": "ci", "namespace": "shop"}, by("system:serviceaccount:bar:ci"), False),
        ({"kind": "ServiceAccount", "name": "*", "namespace": "shop-*"}, by("system:serviceaccount:shop-x:a"), True),
        ({"kind": "ServiceAccount", "name": "*", "namespace": "shop"}, by("system:serviceaccount:shop"), False),
        ({"kind": "ServiceAccount", "name": "a", "namespace": "*"}, by("system:serviceaccount:x:y:a"), False),
        ({"kind": "User", "name": "system:serviceaccount:shop:*"}, by("system:serviceaccount:shop:ci"), True),
        ({"kind": "Group", "name": "system:serviceaccounts:shop"}, by("system:serviceaccount:shop:ci"), True),
    ],
)
def test_a_subject_selects_requests(subject: Json, request_: Request, *, held: bool) -> None:
    whole = policies(raw("bound", subjects=[subject]), raw("others", "warn", priority=-1))
    assert decides(whole, POD, request_) == ("bound" if held else "others")
    left_out = policies(raw("bound", excludeSubjects=[subject]), raw("others", "warn", priority=-1))
    assert decides(left_out, POD, request_) == ("others" if held else "bound")
    assert decides(whole) == decides(left_out) == "others", "what stands has no requester"


def test_subjects_are_narrowed_by_those_left_out() -> None:
    whole = policies(raw("p", subjects=[CONTRACTORS], excludeSubjects=[{"kind": "User", "name": "bob"}]))
    assert decides(whole, POD, by("eve", "contractors")) == "p"
    assert decides(whole, POD, by("bob", "contractors")) is None


def test_a_bracket_in_a_subject_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"subjects\[0\]\.name: holds a bracket"):
        read_policy(raw("p", subjects=[{"kind": "User", "name": "a[b]"}]), CATALOGUE)


def test_a_request_is_decided_whole() -> None:
    """Nothing merges: who is bound by a policy is judged by its parameters and its severity alone."""
    everybody = raw("everybody", check="untrusted-registry")
    everybody["spec"]["checks"][0] |= {"severity": "low", "parameters": {"trusted": ["hooli.com", "docker.io"]}}
    bound = raw("bound", priority=1, check="untrusted-registry", subjects=[CONTRACTORS])
    bound["spec"]["checks"][0] |= {"parameters": {"trusted": ["hooli.com"]}}
    whole = policies(everybody, bound)
    setting = whole.settings("shop", kind=POD, request=by("eve", "contractors"))["untrusted-registry"]
    assert (setting.policy, setting.severity, setting.params["trusted"]) == ("bound", None, ["hooli.com"])
    assert setting.by_request
    stands = whole.settings("shop", kind=POD)["untrusted-registry"]
    assert (stands.policy, stands.params["trusted"]) == ("everybody", ["hooli.com", "docker.io"])
    assert not stands.by_request


# -- what is kept, and for how long --------------------------------------------------------------------------


def test_where_no_policy_selects_by_request_nothing_is_kept_by_request() -> None:
    """The webhook's hot path: one look-up by place, whoever asks."""
    whole = policies(raw("all"), raw("shop", namespaces=["shop"]))
    first = whole.settings("shop", {"a": "b"}, kind=POD, request=by("alice"))
    for user in ("bob", "eve"):
        for kind in (POD, DEPLOYMENT):
            assert whole.settings("shop", {"c": "d"}, kind=kind, request=by(user)) is first
    assert len(whole._in_places) == 1
    assert not whole._by_request


def test_users_alike_share_what_is_kept_and_nothing_grows_for_ever() -> None:
    whole = policies(raw("bound", subjects=[CONTRACTORS]), raw("all", "warn", priority=-1))
    first = whole.settings("shop", kind=POD, request=by("user-0"))
    for number in range(3_000):
        assert whole.settings("shop", kind=POD, request=by(f"user-{number}")) is first
    assert whole.settings("shop", kind=POD, request=by("eve", "contractors")) is not first
    assert len(whole._by_request) == 2
    assert len(whole._subjects) <= 1_000
    for number in range(12_000):
        whole.settings(f"ns-{number}", kind=POD, request=by("eve", "contractors"))
    assert len(whole._by_request) <= 10_001
    assert len(whole._by_policies) == 2


def test_modes_of_both_are_as_written() -> None:
    whole = policies(raw("bound", subjects=[CONTRACTORS]), raw("all", "off", priority=-1))
    assert whole.settings("shop", kind=POD, request=by("eve", "contractors"))[CHECK].mode is Mode.DENY
    assert CHECK not in whole.settings("shop", kind=POD, request=by("alice"))
