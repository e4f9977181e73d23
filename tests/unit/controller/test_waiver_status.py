"""A waiver's status agrees with the findings, whatever happens between two sweeps."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.controller.sweep import ObjectChange
from iocaudit.core.kinds import CLUSTER_ROLE_BINDING, DEPLOYMENT, NAMESPACE, POD, REPLICA_SET, Kind
from tests.unit.controller.test_waivers import Setting, pod_spec, workload

Json = dict[str, Any]
PLURALS = ("iocfindings", "clusteriocfindings")


@pytest.fixture
def setting() -> Setting:
    return Setting()


def told(setting: Setting, kind: Kind, raw: Json, *, deleted: bool = False) -> None:
    """The operator hears of one object; no sweep."""
    setting.worker.receive(ObjectChange(kind, deleted, raw))
    setting.worker.apply_pending()


def waived_by(setting: Setting) -> Counter[str]:
    """How many hits the stored findings call waived, by waiver."""
    findings = [one["finding"] for plural in PLURALS for one in setting.api.stored(plural)]
    live = (finding for finding in findings if finding["state"] != "Resolved")
    return Counter(hit["waiver"] for finding in live for hit in finding["hits"] if "waiver" in hit)


def test_a_waiver_ahead_of_an_install_is_active_as_soon_as_it_covers(setting: Setting) -> None:
    setting.waiver(allowNew=True)
    setting.sweep()
    assert (setting.status()["state"], setting.status()["message"]) == ("Inert", "no hit matches it now")
    told(setting, POD, setting.api.put(POD, "new", "shop", spec=pod_spec("app", "side")))
    assert setting.finding("Pod/new")["state"] == "Waived"
    assert (setting.status()["state"], setting.status()["matching"], setting.status()["uncovered"]) == ("Active", 2, 0)
    told(setting, POD, setting.api.remove(POD, "new", "shop"), deleted=True)
    assert (setting.status()["state"], setting.status()["matching"]) == ("Inert", 0)


def test_another_place_is_counted_beside_it(setting: Setting) -> None:
    setting.api.put(NAMESPACE, "bank")
    setting.waiver(namespaces=["shop", "bank"], allowNew=True)
    setting.pod("old")
    setting.sweep()
    told(setting, POD, setting.api.put(POD, "new", "bank", spec=pod_spec("app")))
    assert setting.status()["matching"] == 2
    told(setting, POD, setting.api.remove(POD, "old", "shop"), deleted=True)
    assert setting.status()["matching"] == 1


def test_a_status_is_written_where_it_changes_alone(setting: Setting) -> None:
    setting.waiver(allowNew=True)
    setting.pod("old")
    setting.sweep()
    before = setting.api.writes["PUT", "iocwaivers"]
    raw = setting.api.put(POD, "old", "shop", spec=pod_spec("app"), metadata={"labels": {"a": "b"}})
    told(setting, POD, raw)
    setting.api.put(NAMESPACE, "bank")
    told(setting, POD, setting.api.put(POD, "new", "bank", spec=pod_spec("app")))
    assert setting.api.writes["PUT", "iocwaivers"] == before


def test_a_hit_of_a_pod_that_its_owners_waiver_leaves_out_is_counted_as_published(setting: Setting) -> None:
    """The pod's own hit was recorded; the owner's came later, so that it is not covered."""
    workload(setting, image="evil.io/web:1")
    setting.api.remove(DEPLOYMENT, "web", "shop")
    setting.api.remove(REPLICA_SET, "web-1", "shop")
    setting.waiver()
    setting.sweep()
    setting.sweep()
    workload(setting, image="evil.io/web:1")
    setting.sweep()
    waived = waived_by(setting)
    status = setting.status()
    assert (status["state"] == "Active") == bool(waived["legacy"])
    assert status["matching"] - status["uncovered"] == waived["legacy"]


_IMAGES = ("hooli.com/web:1", "hooli.com/web:2", "evil.io/web:1")
_waivers = st.fixed_dictionaries(
    {},
    optional={
        "allowNew": st.booleans(),
        "namespaces": st.sampled_from([["shop"], ["shop", "bank"], ["b*"]]),
        "kinds": st.sampled_from([["Pod"], ["Deployment"], ["ReplicaSet", "Pod"]]),
        "names": st.sampled_from([["web*"], ["a", "b"]]),
        "images": st.just(["hooli.com/"]),
        "clusterScope": st.just(True),
        "checks": st.sampled_from([["privileged-container"], ["cluster-admin-binding", "may-run-as-root"]]),
    },
)
_steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("pod"), st.sampled_from(["shop", "bank"]), st.sampled_from(["a", "b"]), st.sampled_from(_IMAGES)
        ),
        st.tuples(st.just("gone"), st.sampled_from(["shop", "bank"]), st.sampled_from(["a", "b"])),
        st.tuples(st.just("workload"), st.sampled_from(_IMAGES), st.sampled_from(_IMAGES)),
        st.tuples(st.just("ownerless")),
        st.tuples(st.just("binding"), st.sampled_from(["mallory", "eve"])),
        st.tuples(st.just("waiver"), st.sampled_from(["one", "two"]), _waivers),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("later"), st.integers(1, 40)),
    ),
    min_size=3,
    max_size=12,
)


def _take(setting: Setting, step: tuple[Any, ...]) -> None:
    match step:
        case ("pod", namespace, name, image):
            told(setting, POD, setting.api.put(POD, name, namespace, spec=pod_spec("app", image=image)))
        case ("gone", namespace, name):
            if any(one["metadata"]["name"] == name for one in _pods(setting, namespace)):
                told(setting, POD, setting.api.remove(POD, name, namespace), deleted=True)
        case ("workload", image, between):
            workload(setting, image=image, between=between)
            for kind, plural in ((DEPLOYMENT, "deployments"), (REPLICA_SET, "replicasets"), (POD, "pods")):
                for raw in setting.api.stored(plural):
                    told(setting, kind, raw)
        case ("ownerless",):
            for kind, plural in ((DEPLOYMENT, "deployments"), (REPLICA_SET, "replicasets")):
                for raw in setting.api.stored(plural):
                    gone = setting.api.remove(kind, raw["metadata"]["name"], "shop")
                    told(setting, kind, gone, deleted=True)
        case ("binding", user):
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
            subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}]
            raw = setting.api.put(CLUSTER_ROLE_BINDING, "boss", roleRef=role, subjects=subjects)
            told(setting, CLUSTER_ROLE_BINDING, raw)
        case ("waiver", name, spec):
            setting.waiver(name, **spec)
            setting.changed()
            if setting.cluster.waivers.unrecorded:
                setting.sweep()
        case ("sweep",):
            setting.sweep()
        case ("later", days):
            setting.now += timedelta(days=days)
            if not setting.cluster.waiver_ends_in:
                setting.cluster.follow_waivers()


def _pods(setting: Setting, namespace: str) -> list[Json]:
    return [one for one in setting.api.stored("pods") if one["metadata"]["namespace"] == namespace]


@settings(max_examples=150)
@given(_steps)
def test_it_says_what_the_findings_say(steps: list[tuple[Any, ...]]) -> None:
    setting = Setting()
    setting.api.put(NAMESPACE, "bank")
    setting.sweep()
    for step in steps:
        _take(setting, step)
        waived = waived_by(setting)
        statuses = {one["metadata"]["name"]: one.get("status", {}) for one in setting.api.stored("iocwaivers")}
        for name, status in statuses.items():
            covered = status.get("matching", 0) - status.get("uncovered", 0)
            if waived[name]:
                assert status.get("state") == "Active", (name, status)
            if status.get("state") == "Active":
                assert covered >= waived[name], (name, status)
                if len(statuses) == 1:
                    assert covered == waived[name], (name, status)
            if status.get("state") == "Inert":
                assert covered == 0, (name, status)
