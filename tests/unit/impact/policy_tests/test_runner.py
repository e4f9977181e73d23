"""How tests are answered: by the webhook, word for word; and what is told of those that fail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from admission.app import ValidateApp, admission_app
from admission.metrics import AdmissionMetrics
from admission.state import State
from iocaudit.cluster.errors import NotFoundError
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.own_names import NEVER_DENIES_PATH, VALIDATE_PATH
from iocaudit.core.request import groups_of
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.impact.policy_tests.coverage import RuleCoverage
from iocaudit.impact.policy_tests.model import PolicyTestSuite
from iocaudit.impact.policy_tests.reader import read_suites
from iocaudit.impact.policy_tests.runner import PolicyTestResult, run_suite
from iocaudit.serving.limits import Bounds
from iocaudit.serving.metrics import new_registry
from tests.support.policy_tests import POLICY, Json, document, pod, write
from tests.unit.impact.test_trial import _policies, _policy, objects

CATALOGUE = builtin_catalogue()


def suite_of(folder: Path, whole: Json) -> PolicyTestSuite:
    found = read_suites([write(folder, whole)], CATALOGUE)
    assert found.unusable == []
    (suite,) = found.suites
    return suite


def results(folder: Path, *tests: Json, **more: Any) -> list[PolicyTestResult]:
    suite = suite_of(folder, document(*tests, **more))
    return list(run_suite(suite, suite.cases, CATALOGUE, RuleCoverage(CATALOGUE)))


def result(folder: Path, expect: Any = "allow", given: Json | None = None, **more: Any) -> PolicyTestResult:
    test: Json = {"name": "a", "object": given or pod(), "expect": expect}
    of_test: Json = {key: more.pop(key) for key in ("request", "set", "oldObject") if key in more}
    (found,) = results(folder, {**test, **of_test}, **more)
    return found


def told(one: PolicyTestResult) -> str:
    return "\n".join(f"{m.part}: {m.expected}: {m.got}: {' | '.join(m.why)}" for m in one.mismatches)


# -- parity ---------------------------------------------------------------------------------------------


def by_webhook(policies: list[Json], body: Json, path: str, world: list[Json]) -> Json:
    """What the webhook's HTTP edge answers."""
    state = State(CATALOGUE)
    state.replace(AUDIT_POLICY, [Resource(one, CLUSTER, kind=AUDIT_POLICY) for one in policies])
    for raw in world:
        if (resource := Resource(raw, CLUSTER)).kind in (NAMESPACE, *state.kinds):
            state.put(resource)

    async def send() -> Json:
        validate = ValidateApp(lambda: state.auditor, AdmissionMetrics(new_registry("test")), get=_nothing)
        transport = httpx.ASGITransport(app=admission_app(validate, Bounds(), lambda _reason: None))
        async with httpx.AsyncClient(transport=transport, base_url="https://webhook") as client:
            answer = await client.post(path, content=orjson.dumps(body), headers={"content-type": "application/json"})
            found: Json = answer.json()["response"]
            return found

    return asyncio.run(send())


def _nothing(kind: Any, namespace: str | None, name: str) -> Json:
    raise NotFoundError("GET", 404, "NotFound", "gone")


_users = st.sampled_from([("alice", ["system:authenticated"]), ("root", ["system:masters", "system:authenticated"])])


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(st.data())
def test_the_answer_is_the_webhooks(tmp_path: Path, data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(objects()))
    old = data.draw(st.sampled_from([None, raw]))
    world = data.draw(st.lists(st.sampled_from(objects()), max_size=4))
    policies = [_policy(number, spec) for number, spec in enumerate(data.draw(_policies))]
    username, groups = data.draw(_users)
    metadata, group = raw["metadata"], raw["apiVersion"].rpartition("/")[0]
    test: Json = {"name": "a", "object": raw, "expect": "deny", "request": {"user": username, "groups": groups}}
    test |= {"oldObject": old} if old is not None else {}
    (found,) = results(tmp_path, test, policies=policies, world=world)
    asked = {
        "uid": "1",
        "operation": "CREATE" if old is None else "UPDATE",
        "kind": {"group": group, "version": raw["apiVersion"].rpartition("/")[2], "kind": raw["kind"]},
        "namespace": metadata.get("namespace", "") if raw["kind"] != "Namespace" else metadata["name"],
        "name": metadata["name"],
        "userInfo": {"username": username, "groups": groups},
        "object": raw,
        "oldObject": old,
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}
    home = metadata["name"] if raw["kind"] == "Namespace" else metadata.get("namespace")
    path = NEVER_DENIES_PATH if home in ("kube-system", "iocaudit") else VALIDATE_PATH
    response = by_webhook(policies, body, path, [*world, *([old] if old is not None else [])])
    assert response["allowed"] is (found.answer.outcome != "deny")
    assert response.get("status", {}).get("message", "") == found.answer.message
    assert tuple(response.get("warnings", ())) == found.answer.warnings
    annotated = response.get("auditAnnotations", {})
    for part, name in (("denied", "denied"), ("warned", "warned"), ("faults", "faults")):
        assert ",".join(sorted(found.answer.checks[part])) == annotated.get(name, "")


# -- requests -------------------------------------------------------------------------------------------


def test_a_denial_a_warning_and_neither(tmp_path: Path) -> None:
    assert result(tmp_path, {"verdict": "allow", "denied": {"exactly": []}}).passed
    bad = pod(hostPID=True)
    expect = {"verdict": "deny", "denied": {"exactly": ["host-pid"]}, "message": {"matches": "^.high.*host-pid"}}
    assert result(tmp_path, expect, bad).passed, told(result(tmp_path, expect, bad))
    by_root = {"verdict": "warn", "spared": ["host-pid"], "warnings": "hostPID"}
    assert result(tmp_path, by_root, bad, request={"user": "root"}).passed


def test_an_update_is_judged_by_what_it_introduces(tmp_path: Path) -> None:
    bad = pod(hostPID=True)
    one = result(tmp_path, {"denied": ["host-pid"]}, bad, oldObject=bad)
    assert not one.passed
    assert "the old object has the same hit" in told(one)
    introduced: Json = {"request": {"operation": "UPDATE"}, "set": {"spec.hostPID": True}}
    assert result(tmp_path, {"denied": ["host-pid"]}, **introduced).passed


def test_whoever_makes_the_request_is_the_innermost_that_is_named(tmp_path: Path) -> None:
    test = {
        "name": "a",
        "object": pod(),
        "expect": "allow",
        "cases": [
            {"name": "outer"},
            {"name": "user", "request": {"user": "bob"}},
            {"name": "account", "request": {"serviceAccount": "ci/deployer"}},
        ],
    }
    suite = suite_of(tmp_path, document(test, request={"user": "alice", "groups": ["dev"]}))
    users = [(r.request.username, r.request.groups) for case in suite.cases for r in case.reviews]
    everybody = "system:authenticated"
    assert users[0] == ("alice", ("dev", everybody))
    assert users[1] == ("bob", (everybody,))
    account = ("system:serviceaccounts", "system:serviceaccounts:ci", everybody)
    assert users[2] == ("system:serviceaccount:ci:deployer", account)


def test_the_groups_of_a_user_are_those_that_the_api_server_adds(tmp_path: Path) -> None:
    for user, asked in (
        ("system:serviceaccount:ci:deployer", {"user": "system:serviceaccount:ci:deployer"}),
        ("system:serviceaccount:ci:deployer", {"serviceAccount": "ci/deployer", "groups": ["dev"]}),
        ("system:anonymous", {"user": "system:anonymous"}),
        ("somebody", {}),
    ):
        test = {"name": "a", "object": pod(), "expect": "allow", "request": asked}
        (review,) = suite_of(tmp_path, document(test)).cases[0].reviews
        assert review.request.username == user
        assert review.request.groups == groups_of(user, tuple(asked.get("groups", ())))


def test_deletions_connections_and_other_kinds(tmp_path: Path) -> None:
    options = {"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh"]}
    for raw, request in (
        (pod(hostPID=True), {"operation": "DELETE"}),
        (options, {"namespace": "shop", "name": "web"}),
        ({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}}, {}),
    ):
        one = result(tmp_path, "deny", raw, request=request)
        assert one.answer.outcome in ("allow", "warn")
    assert "the webhook is not asked about DELETE of Pod" in told(
        result(tmp_path, "deny", pod(hostPID=True), request={"operation": "DELETE"})
    )
    for raw, request, said in (
        (pod(), {"operation": "DELETE"}, "DELETE of Pod: such a test cannot fail"),
        (pod(), {"subResource": "status"}, "CREATE status of Pod"),
        ({**pod(), "kind": "Pdo"}, {}, "CREATE of Pdo (did you mean Pod?)"),
        ({"apiVersion": "apps/v9", "kind": "Deploymnt", "metadata": {"name": "x"}}, {}, "(did you mean Deployment?)"),
    ):
        one = result(tmp_path, "allow", raw, request=request)
        assert not one.passed, "what nobody is asked about proves nothing"
        assert said in told(one)
    assert "iocaudit.io" not in told(result(tmp_path, "deny", options, request={"namespace": "shop", "name": "web"}))


def test_pods_of_controllers_are_judged_by_the_owners_of_the_world(tmp_path: Path) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u1", "controller": True}
    made = pod(hostPID=True)
    made["metadata"] |= {"labels": {"app": "web"}, "ownerReferences": [owner]}
    replica_set = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": made["spec"]}},
        "status": {"replicas": 1},
    }
    by = {"serviceAccount": "kube-system/replicaset-controller"}
    assert result(tmp_path, {"verdict": "warn", "spared": ["host-pid"]}, made, request=by, world=[replica_set]).passed
    assert result(tmp_path, "deny", made, request=by).passed


def test_waivers_hold_at_the_time_of_the_file(tmp_path: Path) -> None:
    waiver = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "IocWaiver",
        "metadata": {"name": "w"},
        "spec": {
            "checks": ["host-pid"],
            "namespaces": ["shop"],
            "owner": "team-shop",
            "reason": "until v2 is out",
            "expires": "2026-12-24T00:00:00Z",
        },
    }
    bad, more = pod(hostPID=True), {"waivers": [waiver]}
    assert result(
        tmp_path, {"denied": {"exactly": []}, "waived": ["host-pid"]}, bad, now="2026-12-01T00:00:00Z", **more
    ).passed
    assert result(tmp_path, {"denied": ["host-pid"]}, bad, now="2026-12-25T00:00:00Z", **more).passed


def test_kube_system_is_never_denied(tmp_path: Path) -> None:
    bad = pod(hostPID=True)
    bad["metadata"]["namespace"] = "kube-system"
    everywhere = {**POLICY, "spec": {"checks": [{"ids": ["host-pid"], "mode": "deny"}]}}
    one = result(tmp_path, {"denied": ["host-pid"]}, bad, policies=[everywhere])
    assert one.answer.outcome == "warn"
    assert "not denied: system" in told(one)


def test_what_was_not_evaluated_has_to_be_expected(tmp_path: Path) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "shop"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gone"},
        "subjects": [{"kind": "User", "name": "bob"}],
    }
    one = result(tmp_path, {"verdict": ["allow", "warn"]}, binding, policies=[])
    assert not one.passed
    assert {m.part for m in one.mismatches} == {"skipped"}
    skipped = sorted(one.answer.checks["skipped"])
    assert result(tmp_path, {"verdict": "warn", "skipped": skipped}, binding, policies=[]).passed
    for some in ({"include": skipped[:1]}, {"exclude": ["host-pid"]}):
        one = result(tmp_path, {"skipped": some}, binding, policies=[])
        assert {m.part for m in one.mismatches} == {"skipped"}, "what is not named is not expected"
    role = {**binding, "kind": "Role", "metadata": {"name": "gone", "namespace": "shop"}, "rules": []}
    assert result(tmp_path, {"verdict": "allow"}, binding, policies=[], world=[role]).passed


# -- what is told of those that fail --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expect", "given", "said"),
    [
        ({"denied": ["host-pid"]}, pod(), "host-pid: it has no hit (mode deny by policy shop, spec.checks[1])"),
        ({"denied": ["untrusted-registry"]}, pod(), "it is not configured: a policy has to set its parameter trusted"),
        ({"denied": ["cluster-admin-binding"]}, pod(), "it does not look at a Pod"),
        ({"denied": {"exactly": []}}, pod(hostPID=True), "hostPID"),
        ("deny", pod(), "nothing has a hit"),
        ("allow", pod(hostPID=True), "[high] host-pid: Pod shop/web"),
        ({"message": "no such words"}, pod(hostPID=True), "host-pid"),
    ],
)
def test_a_failure_says_why(tmp_path: Path, expect: Any, given: Json, said: str) -> None:
    one = result(tmp_path, expect, given)
    assert not one.passed
    assert said in told(one)


def test_a_hit_that_another_implies_may_be_left_out(tmp_path: Path) -> None:
    privileged = {"name": "app", "securityContext": {"privileged": True, "allowPrivilegeEscalation": True}}
    lockdown = {**POLICY, "spec": {"preset": "lockdown", "checks": [{"profiles": ["default"], "mode": "deny"}]}}
    one = result(tmp_path, {"denied": {"exactly": []}}, pod(containers=[privileged]), policies=[lockdown])
    named, every = one.answer.told["denied"], one.answer.checks["denied"]
    assert named < every
    for expected in (named, every):
        again = {"denied": {"exactly": sorted(expected)}}
        assert result(tmp_path, again, pod(containers=[privileged]), policies=[lockdown]).passed


def test_rules_that_no_test_touches_are_known(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, document({"name": "a", "object": pod(hostPID=True), "expect": "deny"}))
    coverage = RuleCoverage(CATALOGUE)
    list(run_suite(suite, suite.cases, CATALOGUE, coverage))
    rules = {rule.path: rule for rule in coverage.rules()}
    assert rules["spec.checks[1]"].covered
    assert rules["spec.checks[1]"].checks == ("privileged-container",)
    assert json.dumps(rules["spec.checks[0]"].names) == '"profile default, profile strict"'
