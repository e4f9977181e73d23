"""Sweeps and changes against an API in memory: races, refusals and what they cost."""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import Any

import orjson
import pytest
import yaml

from iocaudit.cluster.errors import ApiError, ForbiddenError, UnreachableError
from iocaudit.controller.dependents import MOST_HOMES
from iocaudit.controller.pending import PendingChanges
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.sweep import ClusterAuditor, ObjectChange
from iocaudit.controller.worker import Worker
from iocaudit.core.json_patch import apply
from iocaudit.core.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    DEPLOYMENT,
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    LEGACY_TRAEFIK_MIDDLEWARE,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    ROLE_BINDING,
    TRAEFIK_MIDDLEWARE,
    Kind,
)
from iocaudit.core.report import finding_name
from iocaudit.core.resource import Ref
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.records.kinds import AUDIT_POLICY
from tests.support.api import FakeApi, expired

CATALOGUE = builtin_catalogue()
Json = dict[str, Any]
RULES = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
SUBJECT = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}


def cluster_of(api: FakeApi, **more: Any) -> ClusterAuditor:
    return ClusterAuditor(api, CATALOGUE, Publisher(api, CATALOGUE), Policies(CATALOGUE), **more)


def pod(api: FakeApi, name: str, namespace: str = "shop", **spec: Any) -> Json:
    return api.put(POD, name, namespace, spec={"containers": [{"name": "app", "image": "hooli.com/web:1"}], **spec})


def changed(kind: Kind, raw: Json, *, deleted: bool = False) -> ObjectChange:
    return ObjectChange(kind, deleted, raw)


def states(api: FakeApi, check: str) -> dict[str, str]:
    found = [*api.stored("iocfindings"), *api.stored("clusteriocfindings")]
    return {one["finding"]["target"]: one["finding"]["state"] for one in found if one["finding"]["check"] == check}


def writes(api: FakeApi) -> int:
    return sum(api.writes.values())


@pytest.fixture
def api() -> FakeApi:
    found = FakeApi()
    found.put(NAMESPACE, "shop")
    return found


def test_a_second_sweep_writes_nothing_and_asks_for_no_absent_kind(api: FakeApi) -> None:
    pod(api, "spy", hostPID=True)
    cluster = cluster_of(api)
    cluster.sweep()
    assert states(api, "host-pid") == {"Pod/spy": "Open"}
    before, api.requests = writes(api), []
    cluster.sweep()
    assert writes(api) == before
    asked = {path for _, path in api.requests}
    assert not [path for path in asked if "traefik" in path or "argoproj" in path]
    assert {"/api", "/apis"} <= asked


def test_a_kind_installed_later_is_audited_by_the_next_sweep(api: FakeApi) -> None:
    rollout = next(kind for kind in CATALOGUE.audited_kinds if kind.group == "argoproj.io" and kind.name == "Rollout")
    cluster = cluster_of(api)
    cluster.sweep()
    api.absent.discard((rollout.group, rollout.plural))
    template = {"spec": {"hostPID": True, "containers": [{"name": "a", "image": "hooli.com/a:1"}]}}
    raw = api.put(rollout, "web", "shop", spec={"template": template})
    # By its own first event at once; as an owner it is known from then on.
    cluster.apply([changed(rollout, raw)])
    assert states(api, "host-pid") == {"Rollout/web": "Open"}
    assert cluster.inventory.watched(rollout.group, rollout.name)


def test_a_kind_served_only_in_another_version_is_said(api: FakeApi) -> None:
    other = Kind("apps", "v9", "Deployment", "deployments")

    def before(_method: str, path: str) -> None:
        if path == "/apis/apps/v1/deployments":
            raise ApiError("GET", 404, "NotFound", "no")

    cluster = cluster_of(api)
    cluster.sweep()
    api.before = before
    cluster.sweep()
    assert [kind.plural for kind in cluster.missed] == [other.plural]


def test_a_policy_that_comes_after_a_pod_reaches_it(api: FakeApi) -> None:
    """What a change touched since the last sweep is audited again like everything else."""
    cluster = cluster_of(api)
    cluster.sweep()
    api.put(NAMESPACE, "bare")  # of which nothing was told yet, so that it is not the cause
    cluster.apply([changed(POD, pod(api, "late", "bare"))])
    assert states(api, "no-ingress-policy") == {"Pod/late": "Open"}
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    cluster.apply([changed(NETWORK_POLICY, api.put(NETWORK_POLICY, "deny", "bare", spec=spec))])
    cluster.catch_up()
    assert states(api, "no-ingress-policy") == {"Pod/late": "Resolved"}


def test_an_older_event_does_not_undo_a_newer_list(api: FakeApi) -> None:
    old = pod(api, "web", hostPID=True)
    pod(api, "web")
    cluster = cluster_of(api)
    cluster.sweep()
    cluster.apply([changed(POD, old)])
    assert states(api, "host-pid") == {}


def test_what_changes_while_a_list_is_read_wins_over_the_list(api: FakeApi) -> None:
    api.page = 1
    pod(api, "a")
    gone, fixed = pod(api, "b", hostPID=True), pod(api, "c", hostPID=True)
    cluster = cluster_of(api)
    real = api.request
    done: list[int] = []

    def request(method: str, path: str, **options: Any) -> Json:
        answer = real(method, path, **options)
        if path == "/api/v1/pods" and not done and any(i["metadata"]["name"] == "b" for i in answer["items"]):
            done.append(1)
            api.remove(POD, "b", "shop")
            cluster.apply(
                [
                    changed(POD, gone, deleted=True),
                    changed(POD, pod(api, "c")),
                    changed(POD, pod(api, "0", hostPID=True)),
                ]
            )
        return answer

    api.request = request  # type: ignore[method-assign]
    cluster.sweep()
    assert done
    assert fixed["spec"]["hostPID"]
    assert states(api, "host-pid") == {"Pod/0": "Open"}


def test_a_deletion_that_no_watch_told_of_is_found_by_the_sweep(api: FakeApi) -> None:
    pod(api, "spy", hostPID=True)
    cluster = cluster_of(api)
    cluster.sweep()
    api.remove(POD, "spy", "shop")
    cluster.sweep()
    assert states(api, "host-pid") == {"Pod/spy": "Resolved"}


def test_a_list_that_expires_in_the_middle_is_read_again(api: FakeApi) -> None:
    api.page = 2
    for number in range(7):
        pod(api, f"spy-{number}", hostPID=True)
    failed: list[str] = []
    real = api.request

    def request(method: str, path: str, **options: Any) -> Json:
        if path == "/api/v1/pods" and (options.get("query") or {}).get("continue") == "4" and not failed:
            failed.append(path)
            raise expired(path)
        return real(method, path, **options)

    api.request = request  # type: ignore[method-assign]
    cluster = cluster_of(api)
    cluster.sweep()
    assert failed
    assert len(states(api, "host-pid")) == 7
    assert cluster.missed == {}
    assert api.writes[("POST", "iocfindings")] == len(api.stored("iocfindings"))


def test_nothing_is_resolved_when_a_sweep_fails(api: FakeApi) -> None:
    pod(api, "spy", hostPID=True)
    cluster = cluster_of(api)
    cluster.sweep()
    before = writes(api)

    def away(_method: str, path: str) -> None:
        if path == "/api/v1/pods":
            raise UnreachableError("away")

    api.before = away
    with pytest.raises(UnreachableError):
        cluster.sweep()
    assert writes(api) == before


@pytest.mark.parametrize("error", [ForbiddenError, ApiError])
def test_a_kind_that_cannot_be_listed_keeps_its_findings_and_is_said(api: FakeApi, error: type[ApiError]) -> None:
    pod(api, "spy", hostPID=True)
    cluster_of(api).sweep()

    def refuse(method: str, path: str) -> None:
        if path == "/api/v1/pods":
            raise error(f"{method} {path}", 403, "Forbidden", "no")

    api.before = refuse
    fresh = cluster_of(api)
    fresh.sweep()
    assert states(api, "host-pid") == {"Pod/spy": "Open"}
    assert [kind.name for kind in fresh.missed] == ["Pod"]
    assert fresh.inventory.watched("", "Pod") == (error is not ForbiddenError)
    report = api.stored("clusterauditreports")[0]["report"]
    assert any("cannot list pods" in reason["reason"] for reason in report["coverage"]["reasons"])


def test_an_owner_of_a_forbidden_kind_is_a_claim_with_the_owners_own_finding(api: FakeApi) -> None:
    """Else the pods' hits would be said twice: on the Deployment as stored, and on each pod."""
    template = {"spec": {"hostPID": True, "containers": [{"name": "a", "image": "hooli.com/a:1"}]}}
    owner = api.put(DEPLOYMENT, "web", "shop", spec={"template": template})
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    raw = pod(api, "web-1", hostPID=True)
    api.put(POD, "web-1", "shop", spec=raw["spec"], metadata={"ownerReferences": [reference]})
    cluster_of(api).sweep()
    assert states(api, "host-pid") == {"Deployment/web": "Open"}

    def refuse(method: str, path: str) -> None:
        if path == "/apis/apps/v1/deployments":
            raise ForbiddenError(f"{method} {path}", 403, "Forbidden", "no")

    api.before = refuse
    cluster_of(api).sweep()
    assert states(api, "host-pid") == {"Deployment/web": "Open"}


def test_a_world_kind_that_cannot_be_listed_does_not_stop_the_sweep(api: FakeApi) -> None:
    pod(api, "spy", hostPID=True)

    def broken(method: str, path: str) -> None:
        if path == "/apis/networking.k8s.io/v1/networkpolicies":
            raise ApiError(f"{method} {path}", 500, "InternalError", "conversion webhook failed")

    api.before = broken
    cluster = cluster_of(api)
    cluster.sweep()
    assert states(api, "host-pid") == {"Pod/spy": "Open"}
    assert states(api, "no-ingress-policy") == {}
    reasons = api.stored("auditreports")[0]["report"]["coverage"]["reasons"]
    assert any("conversion webhook failed" in reason["reason"] for reason in reasons)


def test_reading_findings_back_halfway_forgets_nothing(api: FakeApi) -> None:
    """A finding that is not known would be created anew, and lose since when it is open."""
    api.page = 1
    for name in ("a", "b", "c"):
        pod(api, name, hostPID=True)
    cluster = cluster_of(api)
    cluster.sweep()
    before = {one["metadata"]["name"]: one["finding"]["firstSeen"] for one in api.stored("iocfindings")}
    real = api.request

    def request(method: str, path: str, **options: Any) -> Json:
        if path.endswith("/iocfindings") and (options.get("query") or {}).get("continue") == "2":
            raise UnreachableError("away")
        return real(method, path, **options)

    api.request = request  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        cluster.sweep()
    api.request = real  # type: ignore[method-assign]
    count = writes(api)
    cluster.apply([changed(POD, pod(api, "c", hostPID=True))])
    assert writes(api) == count
    assert {one["metadata"]["name"]: one["finding"]["firstSeen"] for one in api.stored("iocfindings")} == before


def test_a_finding_that_another_leader_made_keeps_its_time(api: FakeApi) -> None:
    pod(api, "spy", hostPID=True)
    cluster = cluster_of(api)
    cluster.sweep()
    one = next(f for f in api.stored("iocfindings") if f["finding"]["check"] == "host-pid")
    one["finding"]["firstSeen"] = "2020-01-01T00:00:00Z"
    cluster.publisher.forget((one["metadata"]["namespace"], one["metadata"]["name"]))
    cluster.apply([changed(POD, pod(api, "spy", hostPID=True, hostNetwork=True))])
    kept = [f for f in api.stored("iocfindings") if f["finding"]["check"] == "host-pid"]
    assert [f["finding"]["firstSeen"] for f in kept] == ["2020-01-01T00:00:00Z"]


class Ticks:
    """A second passes with each look at the clock, however fast the machine is."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_changing_roles_audit_the_bindings_once_and_then_rest(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.put(CLUSTER_ROLE, "ops", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])
    for number in range(50):
        api.put(
            CLUSTER_ROLE_BINDING,
            f"b-{number}",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ops"},
            subjects=[SUBJECT],
        )
    clock = Ticks()
    cluster = cluster_of(api, clock=clock)
    cluster.sweep()
    audited: list[str] = []
    real = cluster.auditor.audit

    def audit(resource: Any, **options: Any) -> Any:
        audited.append(str(resource.ref))
        return real(resource, **options)

    monkeypatch.setattr(cluster.auditor, "audit", audit)
    for number in range(20):
        rules = RULES if number == 19 else [{"apiGroups": [""], "resources": ["pods"], "verbs": [f"v{number}"]}]
        cluster.apply([changed(CLUSTER_ROLE, api.put(CLUSTER_ROLE, "ops", rules=rules))])
    assert sum("b-" in name for name in audited) == 0
    cluster.catch_up()
    assert sum("b-" in name for name in audited) == 50
    assert len(states(api, "cluster-admin-binding")) == 50
    # The next round waits in proportion to what this one took.
    cluster.apply([changed(CLUSTER_ROLE, api.put(CLUSTER_ROLE, "ops", rules=[]))])
    assert (cluster.due_in or 0.0) > 0.0
    cluster.catch_up()
    assert sum("b-" in name for name in audited) == 50
    clock.now += 60.0
    cluster.catch_up()
    assert set(states(api, "cluster-admin-binding").values()) == {"Resolved"}


def test_changes_in_many_namespaces_list_a_kind_once(api: FakeApi) -> None:
    names = [f"team-{number}" for number in range(MOST_HOMES + 5)]
    for name in names:
        pod(api, "web", name)
    cluster = cluster_of(api)

    def come(method: str, _path: str) -> None:
        """The Namespaces come after they were listed, so that they are not the cause."""
        if method == "POST":
            for name in names:
                api.put(NAMESPACE, name)

    api.before = come
    cluster.sweep()
    assert len(states(api, "no-ingress-policy")) == 1  # one target name, in many namespaces
    api.requests = []
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    cluster.apply(changed(NETWORK_POLICY, api.put(NETWORK_POLICY, "deny", name, spec=spec)) for name in names)
    cluster.catch_up()
    assert [path for _, path in api.requests if path.endswith("/pods")] == ["/api/v1/pods"]
    open_ones = [f for f in api.stored("iocfindings") if f["finding"]["check"] == "no-ingress-policy"]
    assert {f["finding"]["state"] for f in open_ones} == {"Resolved"}


def test_a_refused_report_does_not_stop_the_sweep(api: FakeApi) -> None:
    pod(api, "spy", hostPID=True)
    cluster = cluster_of(api)
    cluster.sweep()
    api.remove(POD, "spy", "shop")
    api.remove(NAMESPACE, "shop")

    def refuse(method: str, path: str) -> None:
        if method == "DELETE" and "auditreports" in path:
            raise ForbiddenError(f"{method} {path}", 403, "Forbidden", "no")

    api.before = refuse
    swept = cluster.swept_at
    cluster.sweep()
    assert cluster.swept_at != swept
    assert cluster.publisher.failed["report"] == 1


# -- the worker --------------------------------------------------------------------------------------------


def test_changes_that_come_between_pages_are_not_worked_off_inside_each_other(api: FakeApi) -> None:
    """Else each would hold a list that is half read, one inside the other without an end."""
    api.page = 1
    for number in range(5):
        pod(api, f"p-{number}")
    cluster = cluster_of(api)
    worker = Worker(cluster, period=600)
    cluster.sweep()
    depth, deepest = 0, 0
    real = cluster.apply

    def apply(changes: Any) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        worker.receive(changed(POD, pod(api, "busy")))
        cluster.between()
        real(changes)
        depth -= 1

    cluster.apply = apply  # type: ignore[method-assign]
    worker.receive(changed(POD, pod(api, "busy")))
    worker.apply_pending()
    assert deepest == 1
    assert worker.pending == 1


def test_changed_rules_are_asked_again_soon_however_long_those_before_failed(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = cluster_of(api)
    worker = Worker(cluster, period=600)
    cluster.sweep()
    monkeypatch.setattr(type(cluster), "rules_fail", True)

    def wait() -> float:
        """Seconds until what failed is audited again, where it just was."""
        worker._mend_at, worker._audit_again_at = 0.0, math.inf
        worker._mend_rules(0.0)
        return worker._audit_again_at

    waits = [wait() for _ in range(5)]
    assert waits[-1] > 30 > 10 > waits[0]
    monkeypatch.setattr(cluster, "load_policies", lambda: True)
    worker.receive(changed(AUDIT_POLICY, {"metadata": {"name": "p"}}))
    worker.apply_pending()
    assert wait() < 10


def test_more_changes_than_fit_end_in_a_sweep(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iocaudit.controller.worker.PendingChanges", partial(PendingChanges, most=3))
    cluster = cluster_of(api)
    turned = threading.Event()
    stop = threading.Event()
    worker = Worker(cluster, period=600, turned=turned.set)
    cluster.sweep()
    for number in range(10):
        worker.receive(changed(POD, pod(api, f"spy-{number}", hostPID=True)))
    assert worker.pending == 3
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    assert turned.wait(20)
    stop.set()
    worker.request_sweep()
    thread.join(20)
    assert not thread.is_alive()
    assert len(states(api, "host-pid")) == 10


def test_stop_ends_a_sweep_in_the_middle(api: FakeApi) -> None:
    for number in range(5):
        pod(api, f"spy-{number}", "shop", hostPID=True)
    for name in ("a", "b", "c", "d"):
        api.put(NAMESPACE, name)
        pod(api, "spy", name, hostPID=True)
    cluster = cluster_of(api)
    stop = threading.Event()
    worker = Worker(cluster, period=600)

    def first_write(method: str, _path: str) -> None:
        if method == "POST":
            stop.set()

    api.before = first_write
    worker.run(stop)
    assert cluster.swept_at is None
    assert {f["finding"]["subject"].get("namespace") for f in api.stored("iocfindings")} != {"shop", "a", "b", "c", "d"}


def test_a_failed_turn_is_counted_and_made_again(api: FakeApi) -> None:
    pod(api, "spy", hostPID=True)
    cluster = cluster_of(api)
    stop = threading.Event()
    failures = iter([UnreachableError("away")])

    def away(_method: str, path: str) -> None:
        if path == "/api/v1/pods" and (error := next(failures, None)) is not None:
            raise error

    api.before = away

    def turned() -> None:
        if worker.swept.is_set():
            stop.set()

    worker = Worker(cluster, period=600, turned=turned)
    worker.run(stop)
    assert worker.failures == 1
    assert states(api, "host-pid") == {"Pod/spy": "Open"}


def test_bindings_in_a_namespace_follow_their_role(api: FakeApi) -> None:
    api.put(
        ROLE_BINDING,
        "ops",
        "shop",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ops"},
        subjects=[{**SUBJECT, "name": "system:anonymous"}],
    )
    cluster = cluster_of(api)
    cluster.sweep()
    assert "RoleBinding/ops" in states(api, "anonymous-binding")


def test_two_long_names_of_one_beginning_are_two_objects(api: FakeApi) -> None:
    """What cannot be evaluated of one keeps its finding, and never that of the other."""
    admin = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    names = ["b" * 300 + end for end in ("unsure", "gone", "there")]
    for name in names:
        api.put(CLUSTER_ROLE_BINDING, name, roleRef=admin, subjects=[SUBJECT])
    cluster = cluster_of(api)
    cluster.sweep()
    found = {finding_name("cluster-admin-binding", Ref(*_RBAC, None, name)): name for name in names}

    def now() -> dict[str, str]:
        stored = [one for one in api.stored("clusteriocfindings") if one["metadata"]["name"] in found]
        return {found[one["metadata"]["name"]][300:]: one["finding"]["state"] for one in stored}

    assert now() == dict.fromkeys(("unsure", "gone", "there"), "Open")
    api.put(CLUSTER_ROLE_BINDING, names[0], roleRef={**admin, "name": "nowhere"}, subjects=[SUBJECT])
    api.remove(CLUSTER_ROLE_BINDING, names[1])
    cluster.sweep()
    assert now() == {"unsure": "Open", "gone": "Resolved", "there": "Open"}


_RBAC = ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding")


# -- repairs ---------------------------------------------------------------------------------------------------


def finding(api: FakeApi, check: str, target: str) -> Json:
    found = [one["finding"] for one in api.stored("iocfindings")]
    only: Json
    (only,) = [one for one in found if (one["check"], one["target"]) == (check, target)]
    return only


def web(api: FakeApi, *containers: str, **metadata: Any) -> Json:
    privileged = {"image": "hooli.com/web:1", "securityContext": {"privileged": True}}
    spec = {"containers": [{"name": name, **privileged} for name in containers]}
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return api.put(
        DEPLOYMENT, "web", "shop", metadata=metadata, spec={"selector": {"matchLabels": labels}, "template": template}
    )


def test_a_finding_carries_the_patch_of_its_subject_as_text_and_as_yaml(api: FakeApi) -> None:
    raw = web(api, "app", "side")
    cluster = cluster_of(api)
    cluster.sweep()
    repair = finding(api, "privileged-container", "Deployment/web")["repair"]
    assert (repair["safe"], repair["hits"]) == (False, 2)
    operations = orjson.loads(repair["patch"])
    assert operations == yaml.safe_load(repair["patchYaml"])
    after = apply(raw, operations)
    assert [one.keys() & {"securityContext"} for one in after["spec"]["template"]["spec"]["containers"]] == [set()] * 2
    before = writes(api)
    cluster.sweep()
    cluster.apply([changed(DEPLOYMENT, web(api, "app", "side"))])
    assert writes(api) == before, "a new version with nothing new about it"


def test_a_patch_follows_the_places_in_its_object(api: FakeApi) -> None:
    """The hits survive a container put before theirs; the pointers do not."""
    web(api, "app")
    cluster = cluster_of(api)
    cluster.sweep()
    before = finding(api, "privileged-container", "Deployment/web")
    raw = web(api, "first", "app")
    raw["spec"]["template"]["spec"]["containers"][0].pop("securityContext")
    cluster.apply([changed(DEPLOYMENT, raw)])
    after = finding(api, "privileged-container", "Deployment/web")
    assert after["hits"] == before["hits"]
    assert "/containers/1/" in after["repair"]["patch"]
    assert after["firstSeen"] == before["firstSeen"]


def test_what_a_controller_made_has_no_patch_of_its_own(api: FakeApi) -> None:
    controller = {"apiVersion": "x.io/v1", "kind": "App", "name": "web", "uid": "u", "controller": True}
    web(api, "app", ownerReferences=[controller])
    pod(api, "own", hostPID=True)
    cluster_of(api).sweep()
    assert "repair" not in finding(api, "privileged-container", "App/web")
    own = finding(api, "host-pid", "Pod/own")
    assert "repair" not in own  # the API server takes no such change of a Pod that exists
    assert own["fix"].endswith("delete it and create it again.")
    assert "again" not in finding(api, "privileged-container", "App/web")["fix"]


def test_what_takes_a_decision_has_no_patch_and_what_is_resolved_has_none_left(api: FakeApi) -> None:
    raw = web(api, "app")
    cluster = cluster_of(api)
    cluster.sweep()
    assert "repair" not in finding(api, "cpu-unlimited", "Deployment/web")
    assert "repair" in finding(api, "privileged-container", "Deployment/web")
    for container in raw["spec"]["template"]["spec"]["containers"]:
        del container["securityContext"]
    cluster.apply([changed(DEPLOYMENT, raw)])
    found = finding(api, "privileged-container", "Deployment/web")
    assert found["state"] == "Resolved"
    assert "repair" not in found


def test_a_definition_that_comes_later_has_what_it_outdates_audited_again(api: FakeApi) -> None:
    """Traefik 3 reads traefik.io alone: its definitions, without any object, are enough to say so."""
    for kind in (LEGACY_TRAEFIK_MIDDLEWARE, LEGACY_TRAEFIK_INGRESS_ROUTE):
        api.absent.discard((kind.group, kind.plural))
    api.put(LEGACY_TRAEFIK_MIDDLEWARE, "calm", "shop", spec={"rateLimit": {"average": 30, "burst": 50}})
    cluster = cluster_of(api)
    cluster.sweep()
    assert states(api, "ineffective-rate-limit") == {}
    api.absent.discard((TRAEFIK_MIDDLEWARE.group, TRAEFIK_MIDDLEWARE.plural))
    cluster.sweep()
    assert states(api, "ineffective-rate-limit") == {"Middleware/calm": "Open"}
    api.absent.add((TRAEFIK_MIDDLEWARE.group, TRAEFIK_MIDDLEWARE.plural))
    cluster.sweep()
    assert states(api, "ineffective-rate-limit") == {"Middleware/calm": "Resolved"}


def test_a_kind_that_is_not_followed_is_said_and_not_looked_up_until_it_is_again(api: FakeApi) -> None:
    api.put(NAMESPACE, "shop")
    pod(api, "spy", "shop", hostPID=True)
    cluster = cluster_of(api)
    cluster.sweep()

    def reasons() -> str:
        (report,) = api.stored("clusterauditreports")
        return str(report["report"]["coverage"].get("reasons"))

    cluster.note_unfollowed({NAMESPACE: "silence", TRAEFIK_MIDDLEWARE: "silence"})
    assert "changes of namespaces are not followed: silence" in reasons()
    assert "middlewares" not in reasons(), "there are none, as the kind is not served"
    assert cluster.world.incomplete(NAMESPACE) == "silence"
    cluster.sweep()
    assert cluster.world.incomplete(NAMESPACE) == "silence", "from the end of the sweep on it is not sure again"
    assert states(api, "host-pid") == {"Pod/spy": "Open"}
    cluster.note_unfollowed({NAMESPACE: None})
    cluster.sweep()
    assert cluster.world.incomplete(NAMESPACE) is None
    assert "not followed" not in reasons()


def test_a_watch_begins_where_the_list_of_the_sweep_began_once(api: FakeApi) -> None:
    pod(api, "spy", hostPID=True)
    cluster = cluster_of(api)
    cluster.sweep()
    version = cluster.take_version(POD)
    assert version is not None
    assert int(version) >= 101
    assert cluster.take_version(POD) is None, "later it may be too old"
    assert cluster.take_version(TRAEFIK_MIDDLEWARE) is None, "it is not served"


def test_sweeps_that_watches_ask_for_leave_room_for_other_work(api: FakeApi) -> None:
    cluster = cluster_of(api)
    worker = Worker(cluster, period=600)
    worker.request_sweep(rest=True)
    assert worker._sweep_at == 0.0, "there was none yet"
    cluster.swept_at, cluster.duration = 1000.0, 30.0
    worker._sweep_at = 5000.0
    worker.request_sweep(rest=True)
    assert worker._sweep_at == 1030.0
    worker.request_sweep()
    assert worker._sweep_at == 0.0
