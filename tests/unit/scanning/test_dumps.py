"""A dump of a cluster is judged as the cluster is: what an owner in the input reports is said once."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.kinds import CRON_JOB, DEPLOYMENT, JOB, POD, REPLICA_SET
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.kept import Interner, keep
from iocaudit.engine.policy_set import PolicySet
from iocaudit.live.inventory import Inventory
from iocaudit.scanning.scan import Scan, ScanOptions, scan_files

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
PRIVILEGED: Json = {"securityContext": {"privileged": True}}
LABELS = {"app": "web"}


def spec(image: str = "example.org/a:1", **container: Any) -> Json:
    return {"containers": [{"name": "app", "image": image, **container}]}


def reference(version: str, kind: str, name: str) -> Json:
    return {"apiVersion": version, "kind": kind, "name": name, "uid": f"{kind}-{name}", "controller": True}


def pod(name: str, owner: Json | None, of: Json, labels: Json | None = None) -> Json:
    metadata: Json = {"name": name, "namespace": "shop", "uid": f"Pod-{name}", "labels": labels or LABELS | {"h": "5d"}}
    if owner:
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": of}


def workload(kind: str, name: str, of: Json, owner: Json | None = None, replicas: int = 1) -> Json:
    labels = LABELS | ({"h": "5d"} if kind == "ReplicaSet" else {})
    metadata: Json = {"name": name, "namespace": "shop", "uid": f"{kind}-{name}", "labels": labels}
    if owner:
        metadata["ownerReferences"] = [owner]
    template = {"metadata": {"labels": labels}, "spec": of}
    body: Json = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    if kind == "CronJob":
        body = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}
    elif kind == "Job":
        body = {"template": template}
    version = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": body}


def dump(*objects: Json) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}).encode()


def scanned(*texts: bytes, **options: Any) -> Scan:
    named = {f"{number}.json": text for number, text in enumerate(texts)}
    return scan_files([], CATALOGUE, ScanOptions(**options), texts=named)


def told(scan: Scan, check: str = "privileged-container") -> list[str]:
    return [f"{found.subject.kind}/{found.subject.name}" for found in scan.report.found if found.check == check]


DEPLOYED = (
    workload("Deployment", "web", spec(**PRIVILEGED)),
    workload("ReplicaSet", "web-5d", spec(**PRIVILEGED), reference("apps/v1", "Deployment", "web")),
    pod("web-5d-a", reference("apps/v1", "ReplicaSet", "web-5d"), spec(**PRIVILEGED)),
    pod("web-5d-b", reference("apps/v1", "ReplicaSet", "web-5d"), spec(**PRIVILEGED)),
)


@pytest.mark.parametrize("order", [1, -1])
def test_one_cause_is_told_on_the_owner_alone(order: int) -> None:
    assert told(scanned(dump(*DEPLOYED[::order]))) == ["Deployment/web"]
    assert told(scanned(*(dump(one) for one in DEPLOYED[::order]))) == ["Deployment/web"]


def test_further_processes_know_the_same_owners() -> None:
    scan = scanned(*(dump(one) for one in DEPLOYED), jobs=3)
    assert told(scan) == ["Deployment/web"]
    assert scan.report.audited == 4


def test_each_file_alone_knows_nobody_elses_owners() -> None:
    assert len(told(scanned(*(dump(one) for one in DEPLOYED), each_file_alone=True))) == 4
    assert told(scanned(dump(*DEPLOYED), each_file_alone=True)) == ["Deployment/web"]


def test_a_pod_that_differs_is_told_by_what_differs() -> None:
    odd = pod("odd", reference("apps/v1", "ReplicaSet", "web-5d"), spec(**PRIVILEGED) | {"hostPID": True})
    scan = scanned(dump(*DEPLOYED, odd))
    assert told(scan) == ["Deployment/web"]
    assert told(scan, "host-pid") == ["Pod/odd"]


def test_another_image_with_the_same_power_is_told() -> None:
    odd = pod("odd", reference("apps/v1", "ReplicaSet", "web-5d"), spec("evil.example/x:1", **PRIVILEGED))
    assert told(scanned(dump(*DEPLOYED, odd))) == ["Deployment/web", "Pod/odd"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("uid", "another"), ("kind", "StatefulSet"), ("name", "shop"), ("controller", False), ("apiVersion", "v1")],
)
def test_an_owner_that_is_not_the_one_named_hides_nothing(field: str, value: Any) -> None:
    claim = reference("apps/v1", "ReplicaSet", "web-5d") | {field: value}
    assert told(scanned(dump(*DEPLOYED, pod("odd", claim, spec(**PRIVILEGED))))) == ["Deployment/web", "Pod/odd"]


def test_a_pod_that_the_selector_does_not_match_is_told() -> None:
    odd = pod("odd", reference("apps/v1", "ReplicaSet", "web-5d"), spec(**PRIVILEGED), {"app": "other"})
    assert told(scanned(dump(*DEPLOYED, odd))) == ["Deployment/web", "Pod/odd"]


def test_a_replica_set_of_zero_is_history() -> None:
    old = workload("ReplicaSet", "web-4c", spec(**PRIVILEGED), reference("apps/v1", "Deployment", "web"), replicas=0)
    assert told(scanned(dump(workload("Deployment", "web", spec()), old))) == []
    assert told(scanned(dump(old))) == ["ReplicaSet/web-4c"]


def test_what_stands_between_may_have_been_left_out() -> None:
    deployment, _, *pods = DEPLOYED
    assert told(scanned(dump(deployment, *pods))) == ["Deployment/web"]
    cron = workload("CronJob", "nightly", spec(**PRIVILEGED))
    made = pod("nightly-2891-x", reference("batch/v1", "Job", "nightly-28912345"), spec(**PRIVILEGED))
    assert told(scanned(dump(cron, made))) == ["CronJob/nightly"]
    other = pod("web-x", reference("apps/v1", "ReplicaSet", "web-5d"), spec(**PRIVILEGED), {"app": "other"})
    assert told(scanned(dump(deployment, other))) == ["Deployment/web", "Pod/web-x"]
    assert len(told(scanned(dump(*pods)))) == 2


def test_files_without_uids_are_told_each() -> None:
    written = copy.deepcopy(DEPLOYED)
    for one in written:
        del one["metadata"]["uid"]
    assert len(told(scanned(dump(*written)))) == 4


def test_a_waiver_of_the_owner_covers_what_it_made(tmp_path: Path) -> None:
    waiver = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "IocWaiver",
        "metadata": {"name": "accepted"},
        "spec": {
            "checks": ["privileged-container"],
            "namespaces": ["shop"],
            "kinds": ["Deployment"],
            "names": ["web"],
            "reason": "a driver that needs it until it is replaced",
            "owner": "team@example.org",
            "expires": (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }
    file = tmp_path / "waiver.json"
    file.write_text(json.dumps(waiver))
    scan = scanned(dump(*DEPLOYED), policy_files=(str(file),))
    assert told(scan) == []
    assert [str(one.found.subject) for one in scan.report.waived] == ["Deployment shop/web"]


IMAGES = st.sampled_from(["example.org/a:1", "example.org/a:2", "evil.example/b:1"])
POWERS: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "hostPID": st.just(True),
        "hostNetwork": st.just(True),
        "volumes": st.just([{"name": "v", "hostPath": {"path": "/etc"}}]),
    },
)


@st.composite
def clusters(draw: st.DrawFn) -> list[Json]:
    """A Deployment or CronJob, what it made and pods of nobody, each of which may differ from the rest."""

    def any_spec() -> Json:
        choices: list[Json] = [{}, PRIVILEGED, {"securityContext": {"runAsUser": 0}}]
        container = draw(st.sampled_from(choices))
        return spec(draw(IMAGES), **container) | draw(POWERS)

    top, middle, version = draw(
        st.sampled_from([("Deployment", "ReplicaSet", "apps/v1"), ("CronJob", "Job", "batch/v1")])
    )
    base = any_spec()
    objects = [workload(top, "web", base)]
    for number in range(draw(st.integers(0, 3))):
        name = f"web-{number}"
        of = base if draw(st.booleans()) else any_spec()
        owner = reference(version, top, "web") if draw(st.booleans()) else None
        objects.append(workload(middle, name, of, owner, replicas=draw(st.integers(0, 2))))
        for other in range(draw(st.integers(0, 2))):
            mine = of if draw(st.booleans()) else any_spec()
            claim = reference(version, middle, name) | draw(st.sampled_from([{}, {}, {"uid": "x"}, {"name": "y"}]))
            labels = draw(st.sampled_from([None, None, {"app": "other"}]))
            objects.append(pod(f"{name}-{other}", claim, mine, labels))
    return draw(st.permutations(objects))


@settings(max_examples=150, deadline=None)
@given(clusters())
def test_a_dump_says_what_the_cluster_says(objects: list[Json]) -> None:
    world = World()
    resources = [Resource(raw, CLUSTER) for raw in objects]
    for one in resources:
        world.add(one)
    auditor, inventory = Auditor(CATALOGUE, PolicySet(CATALOGUE), world), Inventory()
    inventory.serve([POD, REPLICA_SET, DEPLOYMENT, JOB, CRON_JOB])
    for one in resources:
        inventory.put(keep(one, auditor.audit(one), Interner()))
    live = {
        (str(hit.subject), hit.same_hit)
        for scope in inventory.scopes
        for finding in inventory.findings(scope)
        for hit in finding.hits
    }
    found = scanned(dump(*objects)).report.found
    assert {(str(one.subject), one.same_hit) for one in found} == live
