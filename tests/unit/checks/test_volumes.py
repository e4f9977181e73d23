"""Types of volumes, and PersistentVolumes on the node."""

import pytest

from tests.support.auditing import Json, evidence, judge, places, pod


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
