"""scan --cluster against an API in memory: what it judges by, and on whom a hit is put."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError, ForbiddenError, NotFoundError
from iocaudit.core.kinds import DEPLOYMENT, NAMESPACE, POD, REPLICA_SET, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.moments import rfc3339
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from tests.support.api import FakeApi
from tests.support.running import run

CATALOGUE = builtin_catalogue()
PRIVILEGED = {"name": "app", "image": "hooli.com/web:1", "securityContext": {"privileged": True}}
Json = dict[str, Any]


@pytest.fixture
def api() -> FakeApi:
    """A privileged Deployment with the ReplicaSet and the pod that were made from it."""
    found = FakeApi()
    found.put(NAMESPACE, "shop")
    labels = {"app": "web"}
    content = {
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [PRIVILEGED]}},
        }
    }
    owner = found.put(DEPLOYMENT, "web", "shop", **content)
    replicas = found.put(REPLICA_SET, "web-1", "shop", metadata=_made_by(owner, labels), **content)
    found.put(POD, "web-1-a", "shop", metadata=_made_by(replicas, labels), spec={"containers": [PRIVILEGED]})
    return found


def _made_by(owner: Json, labels: Json) -> Json:
    named = {"apiVersion": "apps/v1", "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return {"labels": labels, "ownerReferences": [{**named, "uid": owner["metadata"]["uid"], "controller": True}]}


def scan(api: FakeApi, *arguments: str, code: int) -> Json:
    with mock.patch.object(Client, "connect", return_value=api):
        got, out, error = run("scan", "--cluster", "-ojson", *arguments)
    assert got == code, out + error
    assert not api.writes
    said: Json = json.loads(out)
    return said


def hits(said: Json, part: str = "findings") -> set[tuple[str, str]]:
    return {(one["check"], f"{one['subject']['kind']}/{one['subject']['name']}") for one in said[part]}


def fingerprints(api: FakeApi) -> list[str]:
    """Those of the privileged containers, as the operator records them."""
    world = World()
    found: list[ReportedHit] = []
    for raw in api.stored("deployments"):
        found += Auditor(CATALOGUE, PolicySet(CATALOGUE), world).audit(Resource(raw, CLUSTER)).found
    return [one.fingerprint for one in found if one.check == "privileged-container"]


def waive(api: FakeApi, *, days: float = 30, state: str = "", message: str = "", covered: bool = True) -> None:
    now = datetime.now(UTC)
    spec = {
        "checks": ["privileged-container"],
        "namespaces": ["shop"],
        "owner": "team-shop",
        "reason": "until v2 is out",
        "expires": rfc3339(now + timedelta(days=days)),
    }
    status: Json = {"state": state, "observedGeneration": 1, "message": message} if state else {}
    if covered:
        status["covered"] = {"count": 1, "fingerprints": fingerprints(api)}
    created = rfc3339(now - timedelta(days=1))
    api.put(
        IOC_WAIVER,
        "legacy",
        metadata={"creationTimestamp": created, "generation": 1},
        spec=spec,
        **({"status": status} if status else {}),
    )


def refusing(api: FakeApi, kind: Kind, error: ApiError) -> None:
    def before(_method: str, path: str) -> None:
        if path.endswith(f"/{kind.plural}"):
            raise error

    api.before = before


def test_a_hit_is_put_on_the_owner_that_has_it(api: FakeApi) -> None:
    api.put(POD, "own", "shop", spec={"containers": [PRIVILEGED]})
    said = scan(api, "--check", "privileged-container", code=1)
    assert hits(said) == {("privileged-container", "Deployment/web"), ("privileged-container", "Pod/own")}
    deployment, pod = sorted(said["findings"], key=lambda one: str(one["subject"]["kind"]))
    assert deployment["patch"][-1]["op"] == "remove"
    # The API server takes no such change of a Pod that exists.
    assert "patch" not in pod
    assert "delete it and create it again" in pod["fix"]
    assert said["summary"]["documents"] == 4


def test_the_clusters_own_policies_decide(api: FakeApi) -> None:
    checks = [
        {"ids": ["privileged-container"], "mode": "off"},
        {"ids": ["untrusted-registry"], "parameters": {"trusted": ["other.com/"]}},
    ]
    api.put(AUDIT_POLICY, "shop", spec={"checks": checks})
    api.put(AUDIT_POLICY, "bad", spec={"checks": [{"ids": ["host-pid"], "mode": "block"}]})
    said = scan(api, code=1)
    assert ("untrusted-registry", "Deployment/web") in hits(said)
    assert "privileged-container" not in {check for check, _ in hits(said)}
    assert said["notes"][0] == "the cluster is judged by its AuditPolicies: shop"
    assert said["notes"][1].startswith("AuditPolicy bad: spec.checks[0].mode")
    narrowed = scan(api, "--check", "untrusted-registry", code=1)
    assert hits(narrowed) == {("untrusted-registry", "Deployment/web")}


def test_policy_files_stand_for_all_of_the_clusters_own(api: FakeApi, tmp_path: Path) -> None:
    api.put(AUDIT_POLICY, "off", spec={"checks": [{"groups": ["pods"], "mode": "off"}]})
    waive(api, state="Active")
    file = tmp_path / "policy.yaml"
    file.write_text(
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: mine}\n"
        "spec: {checks: [{ids: [host-pid], mode: deny}]}\n"
    )
    said = scan(api, "--check", "privileged-container", "--policy", str(file), code=1)
    assert hits(said) == {("privileged-container", "Deployment/web")}
    assert said["notes"] == [f"the cluster is judged by {file} alone, not by its own AuditPolicies and IocWaivers"]


@pytest.mark.parametrize(("state", "days"), [("Active", 30), ("Active", 400), ("", 30)])
def test_a_waiver_that_holds_covers_the_pods_of_its_owner_too(api: FakeApi, state: str, days: float) -> None:
    """Four hundred days are what an operator with another maximum let be."""
    waive(api, days=days, state=state)
    said = scan(api, "--check", "privileged-container", code=0)
    assert hits(said) == set()
    assert hits(said, "waived") == {("privileged-container", "Deployment/web")}
    assert said["waived"][0]["waiver"] == "legacy"
    assert "patch" in said["waived"][0]


@pytest.mark.parametrize(
    ("given", "note"),
    [
        ({"state": "Refused", "message": "longer than 10 days"}, "refused by the operator: longer than 10 days"),
        ({"days": 400}, "longer than the 90 days that are allowed"),
        ({"days": -0.5, "state": "Active"}, "expired at"),
        ({"covered": False}, "covers nothing that was audited"),
    ],
)
def test_one_that_holds_nowhere_says_why(api: FakeApi, given: Json, note: str) -> None:
    waive(api, **given)
    said = scan(api, "--check", "privileged-container", code=1)
    assert hits(said) == {("privileged-container", "Deployment/web")}
    assert said["waived"] == []
    assert note in said["notes"][-1]
    assert "waiver legacy" in said["notes"][-1]


def test_a_verdict_on_an_older_spec_counts_for_nothing(api: FakeApi) -> None:
    waive(api, days=400, state="Active")
    api.put(IOC_WAIVER, "legacy", metadata={"generation": 2}, **_content(api))
    assert hits(scan(api, "--check", "privileged-container", code=1), "waived") == set()


def _content(api: FakeApi) -> Json:
    (raw,) = api.stored("iocwaivers")
    return {"spec": raw["spec"], "status": raw["status"]}


def test_without_the_right_to_read_them_that_is_said_once(api: FakeApi) -> None:
    waive(api, state="Active")
    refusing(api, IOC_WAIVER, ForbiddenError("GET", 403, "Forbidden", "no"))
    said = scan(api, "--check", "privileged-container", code=1)
    assert [note for note in said["notes"] if "cannot read the cluster's IocWaivers" in note] == said["notes"][1:]
    refusing(api, AUDIT_POLICY, ForbiddenError("GET", 403, "Forbidden", "no"))
    said = scan(api, "--check", "privileged-container", code=0)
    assert [one["reason"] for one in said["skipped"]] == [
        "cannot read the cluster's AuditPolicies, the built-in default is used: GET: 403 Forbidden: no"
    ]
    assert scan(api, "--check", "privileged-container", "--require-complete", code=3)["notes"] == []


def test_where_iocaudit_is_not_installed_the_default_holds(api: FakeApi) -> None:
    def before(_method: str, path: str) -> None:
        if "iocaudit.io" in path:
            raise NotFoundError("GET", 404, "NotFound", "the server could not find the requested resource")

    api.before = before
    said = scan(api, "--check", "privileged-container", code=1)
    assert said["notes"] == ["the cluster is judged by the built-in default: iocaudit is not installed in it"]
    assert said["skipped"] == []


def test_any_other_answer_ends_it(api: FakeApi) -> None:
    """A default in place of what holds in the cluster would be an accident."""
    refusing(api, AUDIT_POLICY, ApiError("GET", 500, "InternalError", "etcd is away"))
    with mock.patch.object(Client, "connect", return_value=api):
        code, out, error = run("scan", "--cluster", "-ojson")
    assert (code, out) == (2, "")
    assert "etcd is away" in error


def test_an_object_nested_deeper_than_a_stack_loses_its_patch_alone(api: FakeApi) -> None:
    deep: Any = "x"
    for _ in range(440):
        deep = {"a": deep}
    anywhere = {"operator": "Exists", "extra": deep}
    pods = {"containers": [PRIVILEGED], "tolerations": [anywhere]}
    api.put(DEPLOYMENT, "deep", "shop", spec={"template": {"spec": pods}})
    said = scan(api, "--check", "preset-node", "--check", "privileged-container", code=1)
    patched = {f"{one['check']} {one['subject']['name']}": "patch" in one for one in said["findings"]}
    assert patched["privileged-container deep"] is True
    assert "preset-node deep" in patched


def test_a_namespace_means_that_namespace_alone(api: FakeApi) -> None:
    api.put(NAMESPACE, "lab")
    api.put(POD, "other", "lab", spec={"containers": [PRIVILEGED]})
    both = {("privileged-container", "Deployment/web"), ("privileged-container", "Pod/other")}
    everything = scan(api, "--check", "privileged-container", code=1)
    assert hits(everything) == both
    lab = scan(api, "--check", "privileged-container", "-n", "lab", code=1)
    assert hits(lab) == {("privileged-container", "Pod/other")}
    assert "only namespace lab was audited, without cluster-scoped objects" in lab["notes"]
    without = scan(api, "--check", "privileged-container", "--exclude-namespace", "lab,none", code=1)
    assert hits(without) == {("privileged-container", "Deployment/web")}
    assert "left out: lab, none" in without["notes"]
    quota = ("--check", "namespace-without-quota", "--profile", "strict", "--fail-on", "never")
    assert hits(scan(api, *quota, "-n", "lab", code=0)) == {("namespace-without-quota", "Namespace/lab")}
    assert hits(scan(api, "--exclude-namespace", "lab,shop", code=0)) == set()


def test_a_namespace_that_is_not_there_is_an_error(api: FakeApi) -> None:
    with mock.patch.object(Client, "connect", return_value=api):
        code, out, errors = run("scan", "--cluster", "-n", "shpo")
    assert (code, out, errors) == (2, "", "iocaudit: there is no namespace 'shpo' in the cluster\n")


KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: CURRENT
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts:
- {name: prod, context: {cluster: c, user: u}}
- {name: test, context: {cluster: c, user: u}}
"""


@pytest.mark.parametrize("command", [("scan", "--cluster"), ("top",), ("rbac", "path", "ada", "--cluster")])
@pytest.mark.parametrize("current", ["test", "gone"])
def test_a_wrong_context_is_named_with_those_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], current: str
) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG.replace("CURRENT", current))
    monkeypatch.setenv("KUBECONFIG", str(file))
    code, _, errors = run(*command, "--context", "nope", "--kubeconfig", str(file))
    assert (code, errors) == (2, f"iocaudit: no context 'nope' in {file} (there are: prod, test)\n")
    if current == "gone":
        code, _, errors = run(*command, "--kubeconfig", str(file))
        assert (code, errors) == (2, f"iocaudit: no context 'gone' in {file} (there are: prod, test)\n")


@pytest.mark.parametrize("command", [("scan", "-"), ("rbac", "path", "ada", "-"), ("policy", "explain", "-n", "a")])
def test_a_kubeconfig_without_a_cluster_is_refused(command: tuple[str, ...]) -> None:
    code, _, errors = run(*command, "--kubeconfig", "a", stdin="")
    assert (code, "--kubeconfig goes with --cluster" in errors) == (2, True)
