"""Which images are behind a hit, and when another one has what it is about."""

from typing import Any

import pytest

from iocaudit.core.images_behind import NO_IMAGES, ImagesBehind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.knowledge.image import repository_of, version_of
from iocaudit.knowledge.pods.images import ImageIndex, gained
from iocaudit.knowledge.pods.places import pods_of

Json = dict[str, Any]


def workload(kind: str = "Deployment", **spec: Any) -> Resource:
    pod: Json = {
        "initContainers": [{"name": "wait", "image": "init.io/wait:1"}],
        "containers": [
            {"name": "app", "image": "app.io/app:1", "volumeMounts": [{"name": "host", "mountPath": "/host"}]},
            {"name": "side", "image": "side.io/side:1", "volumeDevices": [{"name": "disk", "devicePath": "/dev/x"}]},
        ],
        "ephemeralContainers": [{"name": "debug", "image": "debug.io/debug:1"}],
        "volumes": [{"name": "host"}, {"name": "disk"}, {"name": "idle"}],
        **spec.pop("pod", {}),
    }
    raw: Json = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}}
    return Resource({**raw, "spec": {"template": {"metadata": {}, "spec": pod}, **spec}}, CLUSTER)


ALL = ("init.io/wait:1", "app.io/app:1", "side.io/side:1", "debug.io/debug:1")
POD = "spec.template.spec"


@pytest.mark.parametrize(
    ("path", "holders"),
    [
        (f'{POD}.containers["app"].securityContext.privileged', ("app.io/app:1",)),
        (f'{POD}.initContainers["wait"]', ("init.io/wait:1",)),
        (f'{POD}.ephemeralContainers["debug"].securityContext.privileged', ("debug.io/debug:1",)),
        (f"{POD}.hostPID", ALL),
        (f"{POD}.serviceAccountName", ALL),
        (f"{POD}.securityContext.fsGroup", ALL),
        (f'{POD}.securityContext.sysctls["kernel.x"]', ALL),
        (f'{POD}.volumes["host"].hostPath.path', ("app.io/app:1",)),
        (f'{POD}.volumes["disk"].persistentVolumeClaim.claimName', ("side.io/side:1",)),
        (f'{POD}.volumes["idle"].hostPath.path', ()),
        ("spec.template.metadata.annotations", ALL),
        ('spec.template.metadata.annotations["container.apparmor.security.beta.kubernetes.io/app"]', ("app.io/app:1",)),
        ("metadata.labels", ALL),
        ("somewhere.else", ALL),
    ],
)
def test_whose_a_hit_is(path: str, holders: tuple[str, ...]) -> None:
    found = ImageIndex(workload()).behind(path)
    assert found.holders == holders
    assert found.images == (holders or ALL)


def test_what_a_statefulset_claims_is_held_by_the_containers_that_mount_it() -> None:
    templates = [{"metadata": {"name": "other"}}, {"metadata": {"name": "host"}}, "broken"]
    index = ImageIndex(workload("StatefulSet", volumeClaimTemplates=templates))
    assert index.behind("spec.volumeClaimTemplates[1]").holders == ("app.io/app:1",)
    assert index.behind("spec.volumeClaimTemplates[0]").holders == ()
    assert index.behind("spec.volumeClaimTemplates[2]").images == ALL
    assert index.behind("spec.volumeClaimTemplates[9]").images == ALL


def test_a_container_that_overrules_its_pods_default_does_not_hold_it() -> None:
    containers = [
        {"name": "root", "image": "root.io/r"},
        {"name": "own", "image": "own.io/o", "securityContext": {"runAsUser": 1000}},
        {"name": "win", "image": "win.io/w", "securityContext": {"windowsOptions": {"runAsUserName": "app"}}},
    ]
    index = ImageIndex(workload(pod={"initContainers": [], "ephemeralContainers": [], "containers": containers}))
    context = f"{POD}.securityContext"
    assert index.behind(f"{context}.runAsUser").holders == ("root.io/r", "win.io/w")
    assert index.behind(f"{context}.windowsOptions.runAsUserName").holders == ("root.io/r", "own.io/o")
    assert index.behind(f"{context}.windowsOptions.hostProcess").holders == ("root.io/r", "own.io/o", "win.io/w")


def test_containers_of_one_name_are_told_apart_by_nothing() -> None:
    containers = [{"name": "app", "image": "one.io/a"}, {"name": "app", "image": "two.io/a"}]
    index = ImageIndex(workload(pod={"containers": containers}))
    assert index.behind(f'{POD}.containers["app"].securityContext.privileged').holders == ("one.io/a", "two.io/a")


def test_an_object_without_pods_has_none() -> None:
    role = Resource({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}, CLUSTER)
    assert ImageIndex(role).behind("metadata.name") == NO_IMAGES


def test_a_name_of_a_megabyte_costs_what_it_is_long() -> None:
    name = ".[" * 500_000
    subject = workload(pod={"containers": [{"name": name, "image": "a.io/a"}]})
    path = f"{pods_of(subject)[0].containers[1].path}.securityContext.privileged"
    assert ImageIndex(subject).behind(path).holders == ("a.io/a",)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("nginx", "docker.io/library/nginx:1.29", True),
        ("nginx", "index.docker.io/nginx@sha256:" + "a" * 64, True),
        ("acme/app", "registry-1.docker.io/acme/app:2", True),
        ("Hooli.COM/shop/web:1", "hooli.com/shop/web:2", True),
        ("hooli.com:443/shop/web", "hooli.com/shop/web", True),
        ("hooli.com:5000/shop/web", "hooli.com/shop/web", False),
        ("hooli.com/shop/web", "hooli.com/shop/web2", False),
        ("hooli.com/shop/web", "hooli.com.evil.io/shop/web", False),
        ("hooli.com/shop/web", "hooli.com/shop/web/x", False),
        ("shop/web", "hooli.com/shop/web", False),
        ("", "nginx", False),
        ("not an image", "not an image", True),
        ("not an image", "nor this one", False),
    ],
)
def test_repositories_are_compared_as_the_runtime_reads_them(one: str, other: str, same: bool) -> None:
    assert (repository_of(one) == repository_of(other)) is same


def test_versions_are_digests_or_tags() -> None:
    digest = "sha256:" + "a" * 64
    assert version_of("nginx") == version_of("docker.io/library/nginx:latest")
    assert version_of("nginx:1") != version_of("nginx:2")
    assert version_of(f"nginx:1@{digest}") == version_of(f"nginx@{digest}")
    assert version_of("not an image") == "not an image"


def behind(holders: str, everything: str = "") -> ImagesBehind:
    return ImagesBehind(tuple(holders.split()), tuple((everything or holders).split()))


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (behind("a.io/a:2"), behind("a.io/a:1"), False),
        (behind("b.io/a:1"), behind("a.io/a:1"), True),
        (behind("a.io/a"), behind("a.io/a b.io/b"), False),
        (behind("a.io/a b.io/b"), behind("a.io/a"), True),
        (behind("", "a.io/a"), behind("", "a.io/a b.io/b"), False),
        (behind("", "a.io/a c.io/c"), behind("", "a.io/a"), True),
        (behind("a.io/a", "a.io/a b.io/b"), behind("", "a.io/a b.io/b"), True),
        (behind("", "a.io/a b.io/b"), behind("a.io/a", "a.io/a b.io/b"), False),
    ],
    ids=[
        "another tag",
        "another repository",
        "one less",
        "one more",
        "held by none",
        "held by none, and one more",
        "now mounted",
        "no longer mounted",
    ],
)
def test_when_another_program_has_it(now: ImagesBehind, before: ImagesBehind, expected: bool) -> None:
    assert bool(gained(now, before)) is expected


def test_exactly_the_same_image() -> None:
    assert gained(behind("a.io/a:2"), behind("a.io/a:1"), exact=True)
    assert not gained(behind("a.io/a:1"), behind("A.io/a:1"), exact=True)
