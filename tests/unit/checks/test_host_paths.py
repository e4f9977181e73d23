"""Paths of the node that pods mount, also through claims and PersistentVolumes."""

import pytest

from tests.support.auditing import Json, container, judge, places, pod


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


def _volume(
    name: str = "v", path: str = "/etc", kind: str = "hostPath", labels: Json | None = None, **spec: object
) -> Json:
    offered: Json = {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], kind: {"path": path}, **spec}
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": offered}


def _claim(name: str = "c", namespace: str = "shop", **spec: object) -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": _asked(**spec)}


def _asked(**spec: object) -> Json:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}


_USING = pod(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}])


_HIT = ['spec.volumes["data"].persistentVolumeClaim.claimName']


def _stateful(name: str = "web", templates: object = None, api_version: str = "apps/v1") -> Json:
    template = {"spec": {"containers": [container(volumeMounts=[{"name": "data", "mountPath": "/data"}])]}}
    return {
        "apiVersion": api_version,
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"template": template, "volumeClaimTemplates": templates},
    }


@pytest.mark.parametrize(
    ("others", "hit"),
    [
        ([_claim(volumeName="v"), _volume()], True),
        ([_claim(volumeName="v"), _volume(kind="local")], True),
        ([_claim(volumeName="v"), _volume(path="/data")], False),
        ([_claim(volumeName="w"), _volume()], False),
        ([_claim(volumeName="v", namespace="other"), _volume()], False),
        ([_claim(volumeName="v"), _volume(claimRef={"namespace": "shop", "name": "c"})], True),
        ([_claim(volumeName="v"), _volume(claimRef={"namespace": "shop", "name": "another"})], False),
        ([_claim(), _volume(claimRef={"namespace": "shop", "name": "c"})], True),
        ([_volume(claimRef={"namespace": "shop", "name": "c"})], True),
        ([_claim(), _volume(claimRef={"namespace": "other", "name": "c"})], False),
        ([_volume(claimRef={"name": "c"})], False),
        ([_claim(), _volume("w", "/data", claimRef={"namespace": "shop", "name": "c"}), _volume()], False),
    ],
)
def test_bound_and_reserved_volumes(others: list[Json], hit: bool) -> None:
    assert places(judge("sensitive-host-path", _USING, *others)) == (_HIT if hit else [])


@pytest.mark.parametrize(
    ("claim", "volumes", "hit"),
    [
        (_claim(storageClassName="manual"), [_volume(storageClassName="manual")], True),
        (_claim(storageClassName=""), [_volume()], True),
        (_claim(storageClassName="manual"), [_volume(storageClassName="other")], False),
        (_claim(), [_volume(storageClassName="standard")], False),
        (_claim(), [_volume()], False),
        (
            _claim(storageClassName="m", resources={"requests": {"storage": "20Gi"}}),
            [_volume(storageClassName="m")],
            False,
        ),
        (_claim(storageClassName="m", accessModes=["ReadWriteMany"]), [_volume(storageClassName="m")], False),
        (_claim(storageClassName="m", volumeMode="Block"), [_volume(storageClassName="m")], False),
        (_claim(storageClassName="m", selector={"matchLabels": {"a": "b"}}), [_volume(storageClassName="m")], False),
        (
            _claim(storageClassName="m", selector={"matchLabels": {"a": "b"}}),
            [_volume(storageClassName="m", labels={"a": "b"})],
            True,
        ),
        (
            _claim(storageClassName="m"),
            [_volume(storageClassName="m"), _volume("w", "/data", storageClassName="m", capacity={"storage": "2Gi"})],
            False,
        ),
        (
            _claim(storageClassName="m"),
            [_volume("w", "/data", storageClassName="m"), _volume(storageClassName="m", capacity={"storage": "2Gi"})],
            True,
        ),
    ],
)
def test_an_unbound_claim_takes_the_smallest_volume_that_fits(claim: Json, volumes: list[Json], hit: bool) -> None:
    assert places(judge("sensitive-host-path", _USING, claim, *volumes)) == (_HIT if hit else [])


@pytest.mark.parametrize(
    ("spec", "others", "hit"),
    [
        (_asked(volumeName="v"), [_volume()], True),
        (_asked(storageClassName="m"), [_volume(storageClassName="m")], True),
        (_asked(), [_volume(claimRef={"namespace": "shop", "name": "web-data"})], True),
        (_asked(), [_claim("web-data", volumeName="v"), _volume()], True),
        (_asked(), [_claim("web-other", volumeName="v"), _volume()], False),
        (_asked(), [_volume()], False),
    ],
)
def test_generic_ephemeral_volumes(spec: Json, others: list[Json], hit: bool) -> None:
    volume = {"name": "data", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}
    found = places(judge("sensitive-host-path", pod(volumes=[volume]), *others))
    assert found == (['spec.volumes["data"].ephemeral'] if hit else [])


def test_a_template_of_pods_names_its_volume_for_all_of_them() -> None:
    volume = {"name": "data", "ephemeral": {"volumeClaimTemplate": {"spec": _asked(volumeName="v")}}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": [container()], "volumes": [volume]}}},
    }
    found = places(judge("sensitive-host-path", deployment, _volume()))
    assert found == ['spec.template.spec.volumes["data"].ephemeral']


@pytest.mark.parametrize("api_version", ["apps/v1", "apps.kruise.io/v1beta1"])
@pytest.mark.parametrize(
    ("spec", "others", "hit"),
    [
        (_asked(volumeName="v"), [_volume()], True),
        (_asked(storageClassName="m"), [_volume(storageClassName="m")], True),
        (_asked(), [_volume(claimRef={"namespace": "shop", "name": "data-web-0"})], True),
        (_asked(), [_volume(claimRef={"namespace": "shop", "name": "data-web-x"})], False),
        (_asked(), [_claim("data-web-1", volumeName="v"), _volume()], True),
        (_asked(), [_claim("data-webs-1", volumeName="v"), _volume()], False),
        (_asked(), [_volume()], False),
    ],
)
def test_the_claims_of_a_stateful_set(api_version: str, spec: Json, others: list[Json], hit: bool) -> None:
    subject = _stateful(templates=[{"metadata": {"name": "data"}, "spec": spec}], api_version=api_version)
    found = places(judge("sensitive-host-path", subject, *others))
    assert found == (["spec.volumeClaimTemplates[0]"] if hit else [])


def test_the_claims_of_a_workflow_are_told_once() -> None:
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w", "namespace": "shop"},
        "spec": {
            "volumeClaimTemplates": [{"metadata": {"name": "work"}, "spec": _asked(volumeName="v")}],
            "templates": [{"name": name, "container": {"image": "x"}} for name in "ab"],
        },
    }
    assert places(judge("sensitive-host-path", workflow, _volume())) == ["spec.volumeClaimTemplates[0]"]


@pytest.mark.parametrize("templates", [None, 1, [1], [{}], [{"metadata": {"name": 1}, "spec": []}]])
def test_odd_templates_are_no_error(templates: object) -> None:
    assert judge("sensitive-host-path", _stateful(templates=templates), _volume()) == []
