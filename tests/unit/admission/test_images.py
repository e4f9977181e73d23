"""Whoever may change what was accepted as privileged may not run other programs with it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from iocaudit.core.report import ReportedHit
from iocaudit.judging import wording
from tests.support.reviews import (
    CRONJOB_CONTROLLER,
    DEPLOYMENT_CONTROLLER,
    JOB_CONTROLLER,
    REPLICASET_CONTROLLER,
    Json,
    Stored,
    metadata,
    pod,
    review,
    settle,
    state_with,
    waiver,
    workload,
)

DENIED = {"privileged-container", "host-pid", "sensitive-host-path", "runtime-socket-mount"}
CONTROLLER = "system:serviceaccount:kube-system:{}-controller"


def denied(found: tuple[ReportedHit, ...]) -> set[str]:
    return {one.check for one in found}


def container(name: str, image: str, **more: Any) -> Json:
    return {"name": name, "image": image, **more}


def changed(raw: Json, **spec: Any) -> Json:
    """The same with other fields in its pod."""
    new = copy.deepcopy(raw)
    place = new["spec"]["template"]["spec"] if "template" in new["spec"] else new["spec"]
    place.update(spec)
    return new


def with_image(raw: Json, image: str) -> Json:
    new = copy.deepcopy(raw)
    place = new["spec"]["template"]["spec"] if "template" in new["spec"] else new["spec"]
    place["containers"][0]["image"] = image
    return new


EVERY = [
    pod(),
    pod(made_by=("ReplicaSet", "web-1")),
    *(workload(kind, "web") for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")),
    workload("ReplicaSet", "web-1", made_by=("Deployment", "web")),
    {**workload("ReplicationController", "web"), "apiVersion": "v1"},
    {**workload("Job", "web"), "apiVersion": "batch/v1"},
    {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata("web"),
        "spec": {"jobTemplate": {"spec": workload("Job", "web")["spec"]}},
    },
    {"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata("web"), **workload("Job", "web")["spec"]},
    {**workload("Rollout", "web"), "apiVersion": "argoproj.io/v1alpha1"},
]


def template_of(raw: Json) -> Json:
    """The pod of any of these, to be changed in place."""
    spec: Json = raw.get("spec", raw)
    spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    found: Json = spec["template"]["spec"] if "template" in spec else spec
    return found


@pytest.mark.parametrize("old", EVERY, ids=[f"{one['kind']} {one['metadata']['name']}" for one in EVERY])
def test_a_privileged_container_keeps_its_repository_wherever_it_stands(old: Json) -> None:
    def update(image: str) -> bool:
        new = copy.deepcopy(old)
        template_of(new)["containers"][0] |= {"image": image, "env": [{"name": "A", "value": "b"}], "command": ["x"]}
        return settle(state_with(), review(new, old=old)).allowed

    for image in ("hooli.com/web:2", "hooli.com/web", "HOOLI.com:443/web@sha256:" + "a" * 64):
        assert update(image), image
    for image in ("evil.io/web:1", "hooli.com/web2:1", "hooli.com:5000/web:1", "web:1", "no image"):
        assert not update(image), image


def test_an_image_that_changes_nothing_bad_may_change() -> None:
    old = changed(workload("Deployment", "web"), containers=[container("app", "hooli.com/web:1")])
    assert settle(state_with(), review(with_image(old, "evil.io/web:1"), old=old)).allowed
    beside = changed(
        workload("Deployment", "web"),
        containers=[
            *workload("Deployment", "web")["spec"]["template"]["spec"]["containers"],
            container("side", "a.io/a"),
        ],
    )
    new = copy.deepcopy(beside)
    new["spec"]["template"]["spec"]["containers"][1]["image"] = "b.io/b"
    assert settle(state_with(), review(new, old=beside)).allowed, "another container is not privileged"


POD_LEVEL: Json = {"hostPID": True}
VOLUME: Json = {"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]}
MOUNT = {"volumeMounts": [{"name": "etc", "mountPath": "/mnt"}]}
PLAIN = [container("app", "hooli.com/web:1")]
MOUNTED = [container("app", "hooli.com/web:1", **MOUNT), container("side", "hooli.com/side:1")]


def updates() -> Iterator[tuple[str, Json, Json, set[str]]]:
    whole = {**POD_LEVEL, "containers": PLAIN}
    yield "a tag", whole, {"containers": [container("app", "hooli.com/web:2")]}, set()
    yield (
        "another repository in a pod of the host",
        whole,
        {"containers": [container("app", "evil.io/x")]},
        {"host-pid"},
    )
    yield "a container more", whole, {"containers": [*PLAIN, container("b", "evil.io/x")]}, {"host-pid"}
    yield "one more of the same repository", whole, {"containers": [*PLAIN, container("b", "hooli.com/web:2")]}, set()
    yield "a container that is renamed", whole, {"containers": [container("b", "hooli.com/web:1")]}, set()
    yield "an init container", whole, {"initContainers": [container("b", "evil.io/x")]}, {"host-pid"}
    sidecar = container("b", "evil.io/x", restartPolicy="Always")
    yield "a sidecar", whole, {"initContainers": [sidecar]}, {"host-pid"}
    yield "an ephemeral container", whole, {"ephemeralContainers": [container("b", "evil.io/x")]}, {"host-pid"}
    two = {**POD_LEVEL, "containers": [*PLAIN, container("b", "b.io/b")]}
    yield "a container less", two, {"containers": PLAIN}, set()
    yield (
        "two that change places",
        two,
        {"containers": [container("app", "b.io/b"), container("b", "hooli.com/web")]},
        set(),
    )

    volume = {**VOLUME, "containers": MOUNTED}
    other = [MOUNTED[0], container("side", "evil.io/x")]
    yield "the image beside a mount", volume, {"containers": other}, set()
    evil = [container("app", "evil.io/x", **MOUNT), MOUNTED[1]]
    yield "the image with the mount", volume, {"containers": evil}, {"sensitive-host-path"}
    also = [MOUNTED[0], container("side", "hooli.com/side:1", **MOUNT)]
    yield "a mount in a container of another repository", volume, {"containers": also}, {"sensitive-host-path"}
    debug = [container("debug", "evil.io/x", **MOUNT)]
    yield "an ephemeral container that mounts it", volume, {"ephemeralContainers": debug}, {"sensitive-host-path"}
    blind = [container("debug", "evil.io/x")]
    yield "an ephemeral container that does not", volume, {"ephemeralContainers": blind}, set()
    device = [*MOUNTED, container("b", "evil.io/x", volumeDevices=[{"name": "etc", "devicePath": "/dev/x"}])]
    yield "a volume used as a device", volume, {"containers": device}, {"sensitive-host-path"}
    yield "a mount less", volume, {"containers": PLAIN}, set()
    unused = {**VOLUME, "containers": PLAIN}
    yield (
        "the image beside a volume that nothing mounts",
        unused,
        {"containers": [container("app", "evil.io/x")]},
        {"sensitive-host-path"},
    )
    yield "the first mount of a volume", unused, {"containers": MOUNTED[:1]}, {"sensitive-host-path"}

    own = {"securityContext": {"privileged": True}}
    bad = {"containers": [container("app", "hooli.com/web:1", **own)]}
    renamed = [container("b", "hooli.com/web:1", **own)]
    yield "a privileged container that is renamed", bad, {"containers": renamed}, {"privileged-container"}
    swapped = [container("b", "evil.io/x", **own)]
    yield "renamed, and another image", bad, {"containers": swapped}, {"privileged-container"}


@pytest.mark.parametrize(
    ("case", "old", "new", "expected"), list(updates()), ids=[case.replace(" ", "-") for case, *_ in updates()]
)
@pytest.mark.parametrize("kind", ["Pod", "Deployment"])
def test_who_gets_the_power_of_the_pod_and_of_its_volumes(
    kind: str, case: str, old: Json, new: Json, expected: set[str]
) -> None:
    base = pod() if kind == "Pod" else workload(kind, "web")
    before = changed(base, **old)
    verdict = settle(state_with(policy=_denying()), review(changed(before, **new), old=before))
    assert denied(verdict.denials) == expected, case


def _denying(**more: Any) -> Json:
    return {"checks": [{"ids": sorted(DENIED), "mode": "deny"}], **more}


def test_what_only_warns_is_warned_about_again() -> None:
    old = changed(workload("Deployment", "web"), hostPID=True, containers=PLAIN)
    policy = {"checks": [{"ids": ["host-pid"], "mode": "warn"}]}
    same = settle(state_with(policy=policy), review(with_image(old, "hooli.com/web:2"), old=old))
    assert "host-pid" not in denied(same.warnings)
    other = settle(state_with(policy=policy), review(with_image(old, "evil.io/web:2"), old=old))
    assert other.allowed
    assert "host-pid" in denied(other.warnings)


def test_a_denial_says_which_image_is_new() -> None:
    old = workload("Deployment", "web")
    verdict = settle(state_with(), review(with_image(old, "evil.io/web:1"), old=old))
    said = wording.denial(verdict)
    assert 'container "app" runs privileged, now with an image of another repository: evil.io/web:1 (spec.' in said
    exact = settle(state_with(policy=_denying(images="exact")), review(with_image(old, "hooli.com/web:2"), old=old))
    assert "now with another image: hooli.com/web:2" in wording.denial(exact)
    made = pod("web-1-a", made_by=("ReplicaSet", "web-1"))
    left = settle(state_with(waiver(**LIMITED)), review(with_image(made, "hooli.com/web:3"), old=made))
    assert "now with an image that its owner's waiver is not for: hooli.com/web:3" in wording.denial(left)


def test_a_policy_may_hold_on_to_the_very_image() -> None:
    old = workload("Deployment", "web")
    exact = state_with(policy=_denying(images="exact"))
    assert settle(exact, review(with_image(old, "HOOLI.com/web:1"), old=old)).allowed
    assert not settle(exact, review(with_image(old, "hooli.com/web:2"), old=old)).allowed
    scaled = {**old, "spec": {**old["spec"], "replicas": 3}}
    assert settle(exact, review(scaled, old=old)).allowed


# -- waivers that are limited by images --------------------------------------------------------------------------

LIMITED: dict[str, Any] = {"kinds": ["Deployment"], "names": ["web"], "images": ["hooli.com/web:1", "hooli.com/web:2"]}


@pytest.mark.parametrize(
    "old",
    [
        workload("Deployment", "web"),
        workload("ReplicaSet", "web-1", made_by=("Deployment", "web")),
        workload("ReplicaSet", "web-1"),
        pod("web-1-a", made_by=("ReplicaSet", "web-1")),
    ],
    ids=["Deployment", "ReplicaSet", "orphan", "Pod"],
)
def test_its_images_count_for_the_owner_and_for_what_is_made_of_it(old: Json) -> None:
    state = state_with(waiver(**LIMITED))
    assert settle(state, review(old, old=old)).allowed
    assert settle(state, review(with_image(old, "hooli.com/web:2"), old=old)).allowed
    assert not settle(state, review(with_image(old, "hooli.com/web:3"), old=old)).allowed
    assert not settle(state, review(with_image(old, "evil.io/web:1"), old=old)).allowed


def test_it_says_nothing_about_others() -> None:
    state = state_with(waiver(**LIMITED))
    other = workload("Deployment", "other")
    assert settle(state, review(with_image(other, "hooli.com/web:3"), old=other)).allowed
    elsewhere = state_with(waiver(**LIMITED, namespaces=["elsewhere"]))
    made = pod("web-1-a", made_by=("ReplicaSet", "web-1"))
    assert settle(elsewhere, review(with_image(made, "hooli.com/web:3"), old=made)).allowed


def test_what_leaves_it_is_not_spared_as_existing() -> None:
    edited = workload("ReplicaSet", "web-1", "evil.io/web:1", made_by=("Deployment", "web"))
    evil = pod("web-1-a", "evil.io/web:1", made_by=("ReplicaSet", "web-1"))
    stored = Stored(workload("Deployment", "web"), edited)
    verdict = settle(state_with(waiver(**LIMITED)), review(evil, REPLICASET_CONTROLLER), stored)
    assert denied(verdict.denials) == {"privileged-container"}


# -- what controllers make of templates that were there before ------------------------------------------------


def owned(kind: str, name: str = "web", image: str = "hooli.com/web:1", **status: Any) -> Json:
    version = {"ReplicationController": "v1", "Job": "batch/v1"}.get(kind, "apps/v1")
    found = {**workload(kind, name, image), "apiVersion": version, "status": status}
    if kind == "ReplicationController":
        found["spec"] = {**found["spec"], "selector": {"app": "web"}}
    return found


def made_of(owner: Json, image: str = "hooli.com/web:1") -> Json:
    made = pod("web-x", image, made_by=(owner["kind"], owner["metadata"]["name"]))
    made["metadata"]["ownerReferences"][0]["apiVersion"] = owner["apiVersion"]
    return made


@pytest.mark.parametrize(
    ("kind", "controller", "running", "idle"),
    [
        ("ReplicaSet", "replicaset", {"replicas": 1}, {"replicas": 0}),
        ("ReplicaSet", "replicaset", {"replicas": 0, "terminatingReplicas": 1}, {}),
        ("ReplicationController", "replication", {"replicas": 1}, {}),
        ("StatefulSet", "statefulset", {"replicas": 1, "currentReplicas": 0}, {"replicas": 0, "currentReplicas": 0}),
        ("DaemonSet", "daemon-set", {"desiredNumberScheduled": 1}, {"desiredNumberScheduled": 0}),
        ("Job", "job", {"active": 1}, {"startTime": "2026-11-01T00:00:00Z"}),
        ("Job", "job", {"failed": 1}, {"active": 0, "succeeded": 0, "failed": 0}),
        ("Job", "job", {"succeeded": 2}, {"replicas": 1}),
    ],
)
def test_a_template_without_pods_is_not_existing(kind: str, controller: str, running: Json, idle: Json) -> None:
    user = CONTROLLER.format(controller)
    for status, expected in ((running, True), (idle, False)):
        owner = owned(kind, **status)
        verdict = settle(state_with(), review(made_of(owner), user), Stored(owner))
        assert verdict.allowed is expected, status
        assert expected or "runs no pods, so it does not count as existing" in wording.denial(verdict)
    owner = owned(kind, **running)
    verdict = settle(state_with(), review(made_of(owner, "evil.io/web:1"), user), Stored(owner))
    assert not verdict.allowed, "another image than its template's"
    assert settle(state_with(), review(made_of(owner, "hooli.com/web:2"), user), Stored(owner)).allowed
    exact = state_with(policy=_denying(images="exact"))
    assert not settle(exact, review(made_of(owner, "hooli.com/web:2"), user), Stored(owner)).allowed


def test_an_old_replicaset_runs_nothing_that_its_deployment_does_not() -> None:
    """Its template was fixed, or the Deployment is gone: what is scaled up now was put aside."""
    old = workload("ReplicaSet", "web-0", made_by=("Deployment", "web")) | {"status": {"replicas": 0}}
    fixed = changed(workload("Deployment", "web"), containers=PLAIN)
    made = pod("web-0-a", made_by=("ReplicaSet", "web-0"))
    assert not settle(state_with(), review(made, REPLICASET_CONTROLLER), Stored(old, fixed)).allowed
    assert not settle(state_with(), review(made, REPLICASET_CONTROLLER), Stored(old)).allowed
    same = Stored(old, workload("Deployment", "web"))
    assert settle(state_with(), review(made, REPLICASET_CONTROLLER), same).allowed, "the Deployment runs just that"
    running = Stored({**old, "status": {"replicas": 1}}, fixed)
    assert settle(state_with(), review(made, REPLICASET_CONTROLLER), running).allowed, "until it has been rolled out"


def deployment(**more: Any) -> Json:
    found = workload("Deployment", "web")
    status = {"replicas": 0, "observedGeneration": 7, **more.pop("status", {})}
    found["metadata"] = {**found["metadata"], "generation": 7}
    return {**found, "spec": {**found["spec"], "replicas": 2, **more}, "status": status}


RECREATE = {"strategy": {"type": "Recreate"}}
ROLLING = {"conditions": [{"type": "Available"}, {"type": "Progressing", "reason": "ReplicaSetUpdated"}]}
DONE = {"conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}]}


@pytest.mark.parametrize(
    ("case", "stored", "set_goes", "pod_goes"),
    [
        ("scaled up from zero", deployment(status=DONE), False, False),
        ("between the old pods and the new", deployment(status=ROLLING), True, True),
        ("recreated", deployment(**RECREATE, status=DONE), True, True),
        ("recreated, not seen yet", deployment(**RECREATE, status={**DONE, "observedGeneration": 6}), False, False),
        ("recreated and of zero", deployment(**RECREATE, replicas=0), False, False),
        ("running", deployment(status={"replicas": 1}), True, True),
    ],
)
def test_a_rollout_goes_on_where_it_passes_through_no_pods(
    case: str, stored: Json, set_goes: bool, pod_goes: bool
) -> None:
    new = workload("ReplicaSet", "web-2", made_by=("Deployment", "web"))
    assert settle(state_with(), review(new, DEPLOYMENT_CONTROLLER), Stored(stored)).allowed is set_goes, case
    fresh = {**new, "metadata": {**new["metadata"], "generation": 1}, "status": {}}
    made = pod("web-2-a", made_by=("ReplicaSet", "web-2"))
    verdict = settle(state_with(), review(made, REPLICASET_CONTROLLER), Stored(stored, fresh))
    assert verdict.allowed is pod_goes, case


def test_an_idle_replicaset_is_not_revived_by_recreating() -> None:
    stored = deployment(**RECREATE, status=DONE)
    scaled = workload("ReplicaSet", "web-1", made_by=("Deployment", "web"))
    scaled = {**scaled, "metadata": {**scaled["metadata"], "generation": 2}, "status": {}}
    made = pod("web-1-a", made_by=("ReplicaSet", "web-1"))
    assert not settle(state_with(), review(made, REPLICASET_CONTROLLER), Stored(stored, scaled)).allowed


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"lastScheduleTime": "2026-11-01T00:00:00Z"}, True),
        ({"lastSuccessfulTime": "2026-11-01T00:00:00Z"}, True),
        ({"active": [{"kind": "Job", "name": "nightly-0"}]}, True),
        ({}, False),
        ({"active": []}, False),
    ],
)
def test_a_cronjob_goes_on_once_it_has_run(status: Json, expected: bool) -> None:
    template = workload("Job", "x")["spec"]["template"]
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata("nightly"),
        "spec": {"jobTemplate": {"spec": {"template": template}}},
        "status": status,
    }
    job = {**owned("Job", "nightly-1"), "metadata": metadata("nightly-1", made_by=("CronJob", "nightly"))}
    run = made_of(job)
    assert settle(state_with(), review(job, CRONJOB_CONTROLLER), Stored(cron)).allowed is expected
    assert settle(state_with(), review(run, JOB_CONTROLLER), Stored(cron, job)).allowed is expected
    evil = review(made_of(job, "evil.io/x"), JOB_CONTROLLER)
    assert not settle(state_with(), evil, Stored(cron, job)).allowed
