"""Waivers in the operator: what they cover at which time, what they record once, what their status says."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iocaudit.cluster.errors import ForbiddenError, UnreachableError
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.sweep import ClusterAuditor, ObjectChange
from iocaudit.controller.waivers import StoredWaivers
from iocaudit.controller.worker import Worker
from iocaudit.core.kinds import CLUSTER_ROLE_BINDING, DEPLOYMENT, NAMESPACE, POD, REPLICA_SET
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.waivers import MOST_COVERED
from iocaudit.records.kinds import IOC_WAIVER
from tests.support.api import FakeApi

CATALOGUE = builtin_catalogue()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Json = dict[str, Any]


class Setting:
    """A cluster with one namespace (or one that is there), an operator, and a clock that is moved by hand."""

    def __init__(self, api: FakeApi | None = None) -> None:
        self.api = api or FakeApi()
        if api is None:
            self.api.put(NAMESPACE, "shop")
        self.now = NOW
        publisher = Publisher(self.api, CATALOGUE, clock=lambda: self.now)
        waivers = StoredWaivers(CATALOGUE, clock=lambda: self.now)
        self.cluster = ClusterAuditor(self.api, CATALOGUE, publisher, Policies(CATALOGUE), waivers)
        self.worker = Worker(self.cluster, period=600)

    def waiver(self, name: str = "legacy", **spec: Any) -> Json:
        base = {
            "checks": ["privileged-container"],
            "namespaces": ["shop"],
            "owner": "team-shop",
            "reason": "until v2 is out",
            "expires": "2026-12-24T00:00:00Z",
        }
        metadata = {"creationTimestamp": "2026-11-20T00:00:00Z", "generation": 1}
        return self.api.put(IOC_WAIVER, name, metadata=metadata, spec={**base, **spec})

    def edit(self, name: str = "legacy", **spec: Any) -> None:
        """As an API server does: the status is left alone."""
        (raw,) = [one for one in self.api.stored("iocwaivers") if one["metadata"]["name"] == name]
        status = {"status": raw["status"]} if "status" in raw else {}
        self.api.put(IOC_WAIVER, name, spec={**raw["spec"], **spec}, **status)
        self.changed()

    def changed(self) -> None:
        """The operator hears of a waiver, whichever."""
        self.worker.receive(ObjectChange(IOC_WAIVER, False, {"metadata": {"uid": "any"}}))
        self.worker.apply_pending()

    def status(self, name: str = "legacy") -> Json:
        (found,) = [one for one in self.api.stored("iocwaivers") if one["metadata"]["name"] == name]
        status: Json = found.get("status", {})
        return status

    def finding(self, target: str, check: str = "privileged-container") -> Json:
        both = [*self.api.stored("iocfindings"), *self.api.stored("clusteriocfindings")]
        (found,) = [f["finding"] for f in both if (f["finding"]["target"], f["finding"]["check"]) == (target, check)]
        content: Json = found
        return content

    def pod(self, name: str, *privileged: str, image: str = "hooli.com/web:1", **more: Any) -> None:
        self.api.put(POD, name, "shop", spec=pod_spec(*privileged or ("app",), image=image), **more)

    def sweep(self) -> None:
        self.cluster.sweep()


def pod_spec(*privileged: str, image: str = "hooli.com/web:1") -> Json:
    return {
        "containers": [{"name": name, "image": image, "securityContext": {"privileged": True}} for name in privileged]
    }


def workload(setting: Setting, *, image: str = "hooli.com/web:1", between: str = "hooli.com/web:1") -> None:
    """A Deployment with its ReplicaSet and a pod; ``between`` is the image in the ReplicaSet and the pod."""

    def template(used: str) -> Json:
        return {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec("app", image=used)},
        }

    def made_by(kind: str, plural: str, name: str) -> Json:
        reference = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": f"uid-{plural}-shop-{name}"}
        return {"labels": {"app": "web"}, "ownerReferences": [{**reference, "controller": True}]}

    labels = {"labels": {"app": "web", "tier": "front"}}
    setting.api.put(DEPLOYMENT, "web", "shop", metadata=labels, spec=template(image))
    rs = made_by("Deployment", "deployments", "web")
    setting.api.put(REPLICA_SET, "web-1", "shop", metadata=rs, spec=template(between))
    pod = made_by("ReplicaSet", "replicasets", "web-1")
    setting.api.put(POD, "web-1-a", "shop", metadata=pod, spec=pod_spec("app", image=between))


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_recorded_at_the_first_complete_sweep_then_waived_and_never_extended(setting: Setting) -> None:
    setting.pod("old")
    setting.waiver()
    setting.sweep()
    found, status = setting.finding("Pod/old"), setting.status()
    assert found["state"] == "Waived"
    assert found["waivers"] == [{"name": "legacy", "expires": "2026-12-24T00:00:00Z", "reason": "until v2 is out"}]
    assert (found["waivedCount"], found["hits"][0]["waiver"]) == (1, "legacy")
    assert status["covered"] == {
        "count": 1,
        "recordedAt": "2026-11-24T12:00:00Z",
        "fingerprints": [found["hits"][0]["fingerprint"]],
        "repositories": ["hooli.com/web"],
    }
    assert (status["state"], status["matching"], status["uncovered"]) == ("Active", 1, 0)
    assert status["lastMatch"] == "2026-11-24T12:00:00Z"
    setting.pod("new")
    setting.sweep()
    assert setting.finding("Pod/new")["state"] == "Open"
    assert setting.status()["covered"] == status["covered"]
    assert (setting.status()["matching"], setting.status()["uncovered"]) == (2, 1)
    assert "matches 2 hits and does not cover 1" in setting.status()["message"]


def test_a_waiver_made_while_a_sweep_runs_waits_for_the_next(setting: Setting) -> None:
    setting.pod("old")
    made = False

    def between() -> None:
        nonlocal made
        if not made:
            made = True
            setting.waiver()
            setting.changed()

    setting.cluster.between = between
    setting.sweep()
    assert "covered" not in setting.status()
    assert setting.finding("Pod/old")["state"] == "Open"
    setting.sweep()
    assert setting.status()["covered"]["count"] == 1
    assert setting.finding("Pod/old")["state"] == "Waived"


def test_one_heard_of_later_asks_for_a_sweep(setting: Setting) -> None:
    setting.pod("old")
    setting.sweep()
    setting.worker.request_sweep()
    stop = threading.Event()
    seen: list[str] = []

    def turned() -> None:
        seen.append(setting.finding("Pod/old")["state"])
        if len(seen) == 1:
            setting.waiver()
            setting.worker.receive(ObjectChange(IOC_WAIVER, False, {"metadata": {"uid": "any"}}))
        elif seen[-1] == "Waived" or len(seen) > 50:
            stop.set()

    setting.worker = Worker(setting.cluster, period=600, turned=turned)
    setting.worker.run(stop)
    assert seen[-1] == "Waived"


def test_with_a_kind_that_its_checks_need_unread_nothing_is_recorded(setting: Setting) -> None:
    """Hits that were not seen would never be covered: better to wait than to record half."""
    setting.pod("old")
    setting.waiver()

    def before(_method: str, path: str) -> None:
        if path == "/api/v1/pods":
            raise ForbiddenError("GET", 403, "Forbidden", "no")

    setting.api.before = before
    setting.sweep()
    assert "covered" not in setting.status()
    assert setting.status()["state"] == "Inert"
    assert "waits for kinds that cannot be listed: Pod" in setting.status()["message"]
    setting.waiver("other-kind", kinds=["Deployment"])
    setting.sweep()
    assert setting.status("other-kind")["covered"]["count"] == 0, "what it is for was seen whole"
    setting.api.before = lambda _method, _path: None
    setting.sweep()
    assert setting.status()["covered"]["count"] == 1


def test_one_that_covers_what_comes_is_counted_as_soon_as_it_is_heard_of(setting: Setting) -> None:
    setting.pod("old")
    setting.sweep()
    setting.waiver(allowNew=True)
    setting.changed()
    assert setting.finding("Pod/old")["state"] == "Waived"
    assert (setting.status()["state"], setting.status()["matching"]) == ("Active", 1)


def test_expiry_reopens_at_once_without_asking_the_cluster_for_its_objects(setting: Setting) -> None:
    setting.pod("old")
    setting.waiver()
    setting.sweep()
    first = setting.finding("Pod/old")["firstSeen"]
    assert setting.cluster.waiver_ends_in == (datetime(2026, 12, 24, tzinfo=UTC) - NOW).total_seconds()
    setting.now = datetime(2026, 12, 24, tzinfo=UTC)
    assert setting.cluster.waiver_ends_in == 0
    setting.api.requests = []
    setting.cluster.follow_waivers()
    found = setting.finding("Pod/old")
    assert (found["state"], found["firstSeen"]) == ("Open", first)
    assert "waivers" not in found
    assert setting.status()["state"] == "Expired"
    assert setting.cluster.waiver_ends_in == float("inf")
    assert not [path for method, path in setting.api.requests if method == "GET" and "iocaudit.io" not in path]


def test_the_worker_wakes_when_a_waiver_ends(setting: Setting) -> None:
    setting.pod("old")
    setting.waiver()
    stop = threading.Event()
    seen: list[str] = []

    def turned() -> None:
        seen.append(setting.finding("Pod/old")["state"])
        setting.now = datetime(2026, 12, 24, tzinfo=UTC)
        if seen[-1] == "Open" or len(seen) > 50:
            stop.set()

    worker = Worker(setting.cluster, period=600, turned=turned)
    worker.run(stop)
    assert seen == ["Waived", "Open"]


def test_one_that_ends_between_two_publications_is_not_forgotten(setting: Setting) -> None:
    """The clock passes the end in the middle of publishing: what was published before it is published again."""
    for namespace in ("shop", "a", "b"):
        setting.api.put(NAMESPACE, namespace)
        setting.api.put(POD, "old", namespace, spec=pod_spec("app"))
    setting.waiver(namespaces=["shop", "a", "b"])
    setting.sweep()
    ended = datetime(2026, 12, 24, tzinfo=UTC)
    setting.now = ended - timedelta(seconds=1)
    setting.cluster.between = lambda: setattr(setting, "now", ended)
    setting.cluster.follow_waivers()
    assert setting.cluster.waiver_ends_in == 0
    setting.cluster.follow_waivers()
    found = {f["finding"]["state"] for f in setting.api.stored("iocfindings") if f["finding"]["target"] == "Pod/old"}
    assert found == {"Open"}


def test_some_hits_waived_leaves_it_open_with_the_worst_of_the_others(setting: Setting) -> None:
    setting.pod("web", "app", "side")
    setting.waiver(images=["hooli.com/"])
    spec = pod_spec("app")
    spec["containers"] += pod_spec("side", image="evil.io/side:1")["containers"]
    setting.api.put(POD, "web", "shop", spec=spec)
    setting.sweep()
    found = setting.finding("Pod/web")
    assert (found["state"], found["severity"]) == ("Open", "critical")
    assert (found["hitCount"], found["waivedCount"]) == (2, 1)
    assert [hit.get("waiver") for hit in found["hits"]] == [None, "legacy"]
    assert '"side"' in found["message"]


def test_the_owner_is_asked_and_its_pods_follow(setting: Setting) -> None:
    workload(setting)
    setting.waiver(kinds=["Deployment"], names=["web"], labels={"matchLabels": {"tier": "front"}})
    setting.sweep()
    assert setting.finding("Deployment/web")["state"] == "Waived"
    targets = {f["finding"]["target"] for f in setting.api.stored("iocfindings")}
    assert targets & {"ReplicaSet/web-1", "Pod/web-1-a"} == set()


def test_other_images_below_a_waived_template_do_not_hide_in_it(setting: Setting) -> None:
    """A ReplicaSet can be edited in its namespace: what it then runs is not what was accepted."""
    workload(setting, between="evil.io/web:1")
    setting.waiver(images=["hooli.com/"])
    setting.sweep()
    assert setting.finding("Deployment/web")["state"] == "Waived"
    assert setting.finding("Pod/web-1-a")["state"] == "Open"
    assert setting.finding("ReplicaSet/web-1")["state"] == "Open"
    setting.waiver("wide")
    setting.sweep()
    assert (setting.status("wide")["matching"], setting.status("wide")["covered"]["count"]) == (1, 1)


def test_what_pods_only_claim_is_covered_by_no_waiver(setting: Setting) -> None:
    reference = {"apiVersion": "acme.io/v1", "kind": "Farm", "name": "big", "uid": "x", "controller": True}
    setting.pod("one", metadata={"ownerReferences": [reference]})
    setting.waiver(allowNew=True)
    setting.waiver("by-name", allowNew=True, kinds=["Farm"], names=["big"])
    setting.sweep()
    found = setting.finding("Farm/big")
    assert (found["state"], found["verified"]) == ("Open", False)
    assert setting.status()["state"] == "Inert"


def test_scopes_a_namespace_is_at_home_in_itself(setting: Setting) -> None:
    setting.api.put(
        CLUSTER_ROLE_BINDING,
        "boss",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        subjects=[{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}],
    )
    setting.waiver("namespaced", checks=["cluster-admin-binding", "namespace-without-default-deny"], allowNew=True)
    setting.sweep()
    assert setting.finding("ClusterRoleBinding/boss", "cluster-admin-binding")["state"] == "Open"
    assert setting.finding("Namespace/shop", "namespace-without-default-deny")["state"] == "Waived"
    setting.waiver("cluster", checks=["cluster-admin-binding"], namespaces=[], clusterScope=True, allowNew=True)
    setting.sweep()
    assert setting.finding("ClusterRoleBinding/boss", "cluster-admin-binding")["state"] == "Waived"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"checks": ["no-such-check"]}, "IocWaiver legacy: spec.checks[0]: there is no check 'no-such-check'"),
        ({"expires": "2027-11-20T00:00:00Z"}, "longer than the 90 days that are allowed"),
    ],
)
def test_refused_with_the_reason_and_effective_nowhere(setting: Setting, spec: Json, said: str) -> None:
    setting.pod("old")
    setting.waiver(**{"allowNew": True, **spec})
    setting.sweep()
    assert setting.finding("Pod/old")["state"] == "Open"
    assert setting.status()["state"] == "Refused"
    assert said in setting.status()["message"]
    assert "covered" not in setting.status()
    assert setting.cluster.waivers.states["Refused"] == 1  # type: ignore[index]


def test_one_that_becomes_unreadable_keeps_nothing_in_force(setting: Setting) -> None:
    setting.pod("old")
    setting.waiver()
    setting.sweep()
    covered = setting.status()["covered"]
    setting.edit(checks=["gone-with-an-upgrade"])
    assert setting.finding("Pod/old")["state"] == "Open"
    assert setting.status()["state"] == "Refused"
    assert setting.status()["covered"] == covered, "what it was made for is not forgotten either"


def test_shortened_or_removed_it_ends_at_once(setting: Setting) -> None:
    setting.pod("old")
    setting.waiver()
    setting.sweep()
    setting.edit(expires="2026-11-24T11:00:00Z")
    assert setting.finding("Pod/old")["state"] == "Open"
    setting.waiver("second")
    setting.sweep()
    assert setting.finding("Pod/old")["state"] == "Waived"
    setting.api.remove(IOC_WAIVER, "second")
    setting.changed()
    assert setting.finding("Pod/old")["state"] == "Open"


def test_nothing_is_written_when_nothing_changed_and_the_last_match_once_a_day(setting: Setting) -> None:
    setting.pod("old")
    setting.waiver()
    setting.sweep()
    writes = setting.api.writes.copy()
    setting.now += timedelta(hours=23)
    setting.sweep()
    setting.changed()
    plural = ("PUT", "iocwaivers")
    assert setting.api.writes[plural] == writes[plural] == 1
    assert setting.api.writes[("PUT", "iocfindings")] == writes[("PUT", "iocfindings")]
    setting.now += timedelta(hours=1)
    setting.sweep()
    setting.sweep()
    assert setting.api.writes[plural] == writes[plural] + 1
    assert setting.status()["lastMatch"] == "2026-11-25T12:00:00Z"


def test_a_restart_keeps_what_was_recorded_and_writes_nothing(setting: Setting) -> None:
    setting.pod("old")
    setting.waiver()
    setting.sweep()
    setting.pod("new")
    setting.sweep()
    writes = sum(setting.api.writes.values())
    again = Setting(setting.api)
    again.sweep()
    assert sum(setting.api.writes.values()) == writes
    assert (again.finding("Pod/old")["state"], again.finding("Pod/new")["state"]) == ("Waived", "Open")


def test_no_more_than_the_bound_is_recorded_and_the_rest_stays_open(setting: Setting) -> None:
    for number in range(MOST_COVERED // 50 + 1):
        setting.pod(f"p{number}", *(f"c{index}" for index in range(50)))
    setting.waiver()
    setting.sweep()
    status = setting.status()
    assert status["covered"]["count"] == MOST_COVERED + 50
    assert len(status["covered"]["fingerprints"]) == MOST_COVERED
    assert status["uncovered"] == 50
    assert "Open" in {f["finding"]["state"] for f in setting.api.stored("iocfindings")}


def test_without_the_right_to_read_them_none_is_in_force_and_without_an_answer_nothing_changes(
    setting: Setting,
) -> None:
    setting.pod("old")
    setting.waiver()
    setting.sweep()

    def fail(error: Exception) -> None:
        def before(_method: str, path: str) -> None:
            if path.endswith("/iocwaivers"):
                raise error

        setting.api.before = before

    fail(UnreachableError("away"))
    with pytest.raises(UnreachableError):
        setting.sweep()
    assert setting.finding("Pod/old")["state"] == "Waived"
    fail(ForbiddenError("GET", 403, "Forbidden", "no"))
    setting.sweep()
    assert setting.finding("Pod/old")["state"] == "Open"


def test_reports_count_waived_findings_apart(setting: Setting) -> None:
    setting.pod("old")
    setting.sweep()
    (before,) = [r["report"] for r in setting.api.stored("auditreports")]
    setting.waiver()
    setting.sweep()
    (after,) = [r["report"] for r in setting.api.stored("auditreports")]
    assert (before["waived"], after["waived"]) == (0, 1)
    assert after["severities"]["critical"] == before["severities"]["critical"] - 1
    assert "privileged-container" not in after["checks"]


def test_what_can_no_longer_be_seen_is_open_again_too_when_its_waiver_ends(setting: Setting) -> None:
    """After a restart nothing is known of a kind that cannot be listed but the stored finding."""
    setting.pod("old")
    setting.waiver()
    setting.sweep()
    again = Setting(setting.api)

    def before(_method: str, path: str) -> None:
        if path == "/api/v1/pods":
            raise ForbiddenError("GET", 403, "Forbidden", "no")

    setting.api.before = before
    again.sweep()
    assert again.finding("Pod/old")["state"] == "Waived"
    again.now = datetime(2026, 12, 24, tzinfo=UTC)
    again.cluster.follow_waivers()
    found = again.finding("Pod/old")
    assert (found["state"], found["hitCount"]) == ("Open", 1)
    assert "waivers" not in found
    assert "waiver" not in found["hits"][0]
    writes = sum(setting.api.writes.values())
    again.cluster.follow_waivers()
    assert sum(setting.api.writes.values()) == writes


def test_gone_while_waived_is_resolved_as_ever(setting: Setting) -> None:
    setting.pod("old")
    setting.waiver()
    setting.sweep()
    setting.api.remove(POD, "old", "shop")
    setting.sweep()
    assert setting.finding("Pod/old")["state"] == "Resolved"
    assert setting.status()["state"] == "Inert"
    assert setting.status()["message"] == "no hit matches it now"
