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
        ({"name": "a", "hostPath": {"path": "/x"}}, {"allowed": ["*"]}, []),
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


@pytest.mark.parametrize(
    ("path", "repaired"),
    [
        ("/var/run/docker.sock", False),
        ("/run//dbus/./system_bus_socket", False),
        ("/run/shop/agent.sock", False),
        ("/run/shop/agent.socket", False),
        ("/run/shop", True),
        ("/var/run", True),
    ],
)
def test_a_read_only_mount_is_no_repair_for_a_socket(path: str, repaired: bool) -> None:
    mounts = container(volumeMounts=[{"name": "a", "mountPath": "/a"}])
    (found,) = judge("writable-host-path", pod(mounts, volumes=[{"name": "a", "hostPath": {"path": path}}]))
    assert (found.hit.repair is not None) is repaired


def test_a_persistent_volume_on_the_node() -> None:
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "a"}}
    subject: Json = {**volume, "spec": {"hostPath": {"path": "/srv//data"}}}
    assert evidence(judge("host-path-volume", subject)) == ["/srv/data"]
    assert judge("host-path-volume", subject, parameters={"allowed": ["/srv"]}) == []
    assert len(judge("host-path-volume", subject, parameters={"allowed": ["/sr"]})) == 1
    assert places(judge("host-path-volume", {**volume, "spec": {"local": {"path": "/srv"}}})) == ["spec.local.path"]


@pytest.mark.parametrize("source", ["hostPath", "local"])
@pytest.mark.parametrize(
    ("path", "holder", "severity"),
    [
        ("/etc", None, "critical"),
        ("/", None, "critical"),
        ("/sys", None, "high"),
        ("/srv", None, "medium"),
        ("/etc", {"namespace": "shop", "name": "c"}, "critical"),
        ("/etc", {"namespace": "kube-system", "name": "c"}, "medium"),
        ("/etc", {"namespace": "kube-node-lease", "name": "c"}, "medium"),
        ("/etc", {"namespace": "kube-system"}, "critical"),
        ("/etc", {"name": "c"}, "critical"),
        ("/var/lib/rancher/k3s/storage/pvc-1_shop_c", {"namespace": "shop", "name": "c"}, "medium"),
        ("/var/lib/rancher/k3s/storage", None, "critical"),
        ("/var/lib/rancher/k3s/storage/../server", None, "critical"),
    ],
)
def test_a_persistent_volume_is_as_bad_as_its_path(source: str, path: str, holder: Json | None, severity: str) -> None:
    spec: Json = {source: {"path": path}} | ({"claimRef": holder} if holder else {})
    subject = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "a"}, "spec": spec}
    assert [found.severity.label for found in judge("host-path-volume", subject)] == [severity]


@pytest.mark.parametrize(
    ("path", "read_only", "allowed", "hits"),
    [
        ("/var/log/pods", False, ["/var/log"], 0),
        ("/var/log", True, [{"pathPrefix": "/var/log", "readOnly": True}], 0),
        ("/var/log", None, [{"pathPrefix": "/var/log", "readOnly": True}], 1),
        ("/var/log", None, [{"pathPrefix": "/var/log", "readOnly": True}, {"pathPrefix": "/var//log/"}], 0),
        ("/var", True, ["/var/log"], 1),
        ("/var/log", True, ["/var/lo"], 1),
        ("/data/web", False, [{"pathPrefix": "/data"}], 0),
        ("/data/web", False, [{"pathPrefix": "/data", "readOnly": True}], 1),
        ("/database", True, ["/data"], 1),
    ],
)
def test_what_of_the_node_a_policy_lets_pods_mount(
    path: str, read_only: bool | None, allowed: list[Json | str], hits: int
) -> None:
    mount: Json = {"name": "a", "mountPath": "/a", **({} if read_only is None else {"readOnly": read_only})}
    subject = pod(container(volumeMounts=[mount]), volumes=[{"name": "a", "hostPath": {"path": path}}])
    found = [
        one
        for check in ("host-path-mount", "sensitive-host-path")
        for one in judge(check, subject, parameters={"allowed": allowed})
    ]
    assert len({one.hit.path for one in found}) == hits


def test_a_claim_on_an_allowed_path() -> None:
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "logs"},
        "spec": {"claimRef": {"namespace": "shop", "name": "logs"}, "hostPath": {"path": "/var/log"}},
    }
    subject = pod(volumes=[{"name": "a", "persistentVolumeClaim": {"claimName": "logs"}}])
    assert len(judge("sensitive-host-path", subject, volume)) == 1
    assert judge("sensitive-host-path", subject, volume, parameters={"allowed": ["/var/log"]}) == []


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


_DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("check", "parameters", "one", "other", "same"),
    [
        ("untrusted-registry", {"trusted": ["hooli.com/"]}, "evil.io/a:1", "evil.io/a:2", True),
        ("untrusted-registry", {"trusted": ["hooli.com/"]}, "evil.io/a:1", f"EVIL.io:443/a@{_DIGEST}", True),
        ("untrusted-registry", {"trusted": ["hooli.com/"]}, "evil.io/a:1", "evil.io/b:1", False),
        ("untrusted-registry", {"trusted": ["hooli.com/"]}, "not:an:image", "nor:this:one", False),
        ("untrusted-registry", {"trusted": ["ubuntu:24.04"]}, "ubuntu:20.04", "ubuntu:18.04", False),
        ("untrusted-registry", {"trusted": ["ubuntu:24.04"]}, "debian:12", "debian:13", True),
        ("untrusted-registry", {"denied": ["ubuntu:1*"]}, "ubuntu:16.04", "ubuntu:18.04", False),
        ("untrusted-registry", {"denied": ["ubuntu"]}, "ubuntu:16.04", "ubuntu:18.04", True),
        ("retired-registry", {}, "k8s.gcr.io/pause:3.8", "k8s.gcr.io/pause:3.9", True),
        ("image-without-digest", {}, "hooli.com/a:1", "hooli.com/a:2", True),
        ("mutable-image-tag", {"tags": ["dev-*"]}, "hooli.com/a:dev-1", "hooli.com/a:dev-2", False),
        ("mutable-image-tag", {}, "hooli.com/a", "hooli.com/a:latest", True),
    ],
)
def test_a_baseline_survives_a_new_tag_where_the_repository_is_the_reason(
    check: str, parameters: Json, one: str, other: str, same: bool
) -> None:
    said = [evidence(judge(check, pod(container(image=image)), parameters=parameters)) for image in (one, other)]
    assert all(len(found) == 1 for found in said)
    assert (said[0] == said[1]) is same
