"""Kinds of volumes, credentials of clouds, PersistentVolumes; registries, digests, pull policies."""

import pytest

from tests.unit.checks.auditing import Json, container, evidence, judge, places, pod


@pytest.mark.parametrize(
    ("volume", "parameters", "expected"),
    [
        ({"name": "a", "emptyDir": {}}, {}, []),
        ({"name": "a"}, {}, []),
        ({"name": "a", "nfs": {"server": "x", "path": "/"}}, {}, ["nfs"]),
        ({"name": "a", "hostPath": {"path": "/x"}}, {}, ["hostPath"]),
        ({"name": "a", "somethingNew": {}}, {}, ["somethingNew"]),
        ({"name": "a", "flexVolume": {"driver": "d/e"}}, {}, ["d/e"]),
        ({"name": "a", "flexVolume": {"driver": "d/e"}}, {"allowedFlexVolumes": ["d/e"]}, []),
        ({"name": "a", "flexVolume": {"driver": "d/f"}}, {"allowedFlexVolumes": ["d/e"]}, ["d/f"]),
        ({"name": "a", "emptyDir": {}}, {"allowed": ["secret"]}, ["emptyDir"]),
    ],
)
def test_types_of_volumes(volume: Json, parameters: Json, expected: list[str]) -> None:
    assert evidence(judge("restricted-volume-type", pod(volumes=[volume]), parameters=parameters)) == expected


@pytest.mark.parametrize(
    ("path", "hits"),
    [
        ("/root/.aws", 1),
        ("/home/ops/.aws/credentials", 1),
        ("/etc//kubernetes/./azure.json", 1),
        ("/var/run/../../root/.config/gcloud", 1),
        ("/proc/1/root/root/.azure/x", 1),
        ("/data/aws", 0),
        ("/root/.awsome", 0),
        ("/etc/kubernetes", 0),
    ],
)
def test_credentials_of_clouds(path: str, hits: int) -> None:
    assert len(judge("cloud-credentials-mount", pod(volumes=[{"name": "a", "hostPath": {"path": path}}]))) == hits


def test_a_persistent_volume_on_the_node() -> None:
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "a"}}
    subject: Json = {**volume, "spec": {"hostPath": {"path": "/srv//data"}}}
    assert evidence(judge("host-path-volume", subject)) == ["/srv/data"]
    assert judge("host-path-volume", subject, parameters={"allowed": ["/srv"]}) == []
    assert len(judge("host-path-volume", subject, parameters={"allowed": ["/sr"]})) == 1
    assert judge("host-path-volume", {**volume, "spec": {"local": {"path": "/srv"}}}) == []


@pytest.mark.parametrize(
    ("image", "hits"),
    [
        ("k8s.gcr.io/pause:3.9", 1),
        ("K8S.GCR.IO/pause:3.9", 1),
        ("k8s.gcr.io.evil.example/pause:3.9", 0),
        ("gcr.io/google_containers/pause", 1),
        ("gcr.io/google_containersx/pause", 0),
        ("registry.k8s.io/pause:3.9", 0),
        ("bitnami/redis:7", 1),
        ("old.example/a:1", 1),
    ],
)
def test_retired_registries(image: str, hits: int) -> None:
    subject = pod(container(image=image))
    assert len(judge("retired-registry", subject, parameters={"further": ["old.example"]})) == hits


def test_digests() -> None:
    digest = "sha256:" + "0f" * 32
    assert judge("image-without-digest", pod(container(image=f"a/b:1@{digest}"))) == []
    volume = {"name": "v", "image": {"reference": "a/b:1"}}
    found = judge("image-without-digest", pod(container(image=f"a/b@{digest}"), volumes=[volume]))
    assert places(found) == ['spec.volumes["v"].image.reference']


@pytest.mark.parametrize(
    ("image", "policy", "hits"),
    [
        ("a/b", "IfNotPresent", 1),
        ("a/b:latest", "Never", 1),
        ("a/b:latest", "Always", 0),
        ("a/b:latest", None, 0),
        ("a/b:1.2", "IfNotPresent", 0),
        ("a/b:dev-3", "IfNotPresent", 1),
        ("a/b:latest@sha256:" + "0f" * 32, "Never", 0),
    ],
)
def test_pull_policies(image: str, policy: str | None, hits: int) -> None:
    subject = pod(container(image=image, imagePullPolicy=policy))
    assert len(judge("pull-policy-not-always", subject, parameters={"tags": ["dev-*"]})) == hits
