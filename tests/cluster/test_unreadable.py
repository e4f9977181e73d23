"""Objects that the API server stores and a strict decoder refuses: each costs itself, and nobody else anything."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cluster.api import path_of
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError, ClusterError, ForbiddenError
from iocaudit.core.kinds import (
    CONFIG_MAP,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    ROLE,
    SERVICE,
    TRAEFIK_MIDDLEWARE,
    Kind,
)
from iocaudit.core.partial import lacks_of
from tests.cluster.custom_kinds import crd_of
from tests.cluster.installing import install_crds
from tests.cluster.processes import Eventually, Json, apply
from tests.cluster.test_memory import MIB, limit_of, peak

LEVELS = 3000
DEEP = '{"f:a":' * LEVELS + "{}" + "}" * LEVELS
CLAIM = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
KINDS = (CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SERVICE, ROLE, NAMESPACE)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Its own: a webhook for all would disturb the other tests."""
    with ControlPlane(controllers=False) as found:
        install_crds(found)
        apply(found, crd_of(TRAEFIK_MIDDLEWARE, ()))
        found.kubectl("wait", "--for=condition=Established", "crd", f"{TRAEFIK_MIDDLEWARE.plural}.traefik.io")
        for namespace in ("evil", "shop"):
            found.kubectl("create", "namespace", namespace)
            found.kubectl("create", "serviceaccount", "default", f"-n{namespace}", check=False)
        yield found


@pytest.fixture
def client(cluster: ControlPlane) -> Iterator[Client]:
    found = Client.connect(cluster.kubeconfig)
    yield found
    found.close()


@pytest.fixture
def webhook(cluster: ControlPlane, tmp_path: Path) -> Iterator[LocalWebhook]:
    found = LocalWebhook(cluster, tmp_path / "webhook")
    try:
        found.start()
        yield found
    finally:
        found.unregister()
        found.close()


def made(kind: Kind, name: str) -> Json:
    found: Json = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": name}}
    if kind.namespaced:
        found["metadata"]["namespace"] = "evil"
    content: dict[Kind, Json] = {
        PERSISTENT_VOLUME_CLAIM: {"spec": CLAIM},
        SERVICE: {"spec": {"ports": [{"port": 80}]}},
        ROLE: {"rules": []},
    }
    return found | content.get(kind, {})


def write_deep(cluster: ControlPlane, folder: Path, kind: Kind, name: str) -> None:
    """Give an object managedFields of 3,000 levels, as whoever may update it can."""
    fields = f'{{"manager":"red","operation":"Update","apiVersion":"{kind.api_version}",'
    fields += f'"time":"2026-11-30T08:00:00Z","fieldsType":"FieldsV1","fieldsV1":{DEEP}}}'
    body = made(kind, name)
    body["metadata"]["managedFields"] = ["FIELDS"]
    file = folder / "deep.json"
    file.write_text(json.dumps(body).replace('"FIELDS"', fields))
    cluster.kubectl("replace", "--raw", path_of(kind, "evil", name), "-f", str(file))


def pod(namespace: str, name: str, value: str, *, privileged: bool = False, finalizers: Sequence[str] = ()) -> Json:
    container: Json = {"name": "app", "image": "hooli.com/shop/web:1.4", "env": [{"name": "A", "value": value}]}
    container["securityContext"] = {"privileged": privileged}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "finalizers": list(finalizers)},
        "spec": {"containers": [container]},
    }


def claim_of_the_node(client: Client, name: str) -> str:
    """What is said of a pod that mounts a claim on the root of a node; empty where it is admitted."""
    body = pod("shop", name, "")
    body["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    try:
        client.request("POST", path_of(POD, "shop"), query={"dryRun": "All"}, body=body)
    except ClusterError as error:
        return str(error)
    return ""


def test_deep_managed_fields_of_one_object_blind_nobody(
    cluster: ControlPlane, client: Client, webhook: LocalWebhook, tmp_path: Path, eventually: Eventually
) -> None:
    for kind in KINDS:
        for name in ("deep", "plain"):
            client.create(kind, made(kind, name))
    for kind in KINDS:
        write_deep(cluster, tmp_path, kind, "deep")
        found = {raw["metadata"]["name"]: raw for raw in client.each(kind)}
        assert {"deep", "plain"} <= found.keys(), str(kind)
        assert not any(lacks_of(raw) for raw in found.values()), str(kind)
        version = client.collect(kind, lambda raw: raw["metadata"]["name"])[1]
        cluster.kubectl("label", kind.plural, "deep", "a=b", *(["-nevil"] if kind.namespaced else []))
        event, raw = next(
            seen for seen in client.watch(kind, version, seconds=10) if seen[1]["metadata"].get("name") == "deep"
        )
        assert (event, raw["metadata"]["labels"]["a"]) == ("MODIFIED", "b")
    # The webhook saw each of them come, and looks up what other namespaces hold as before.
    volume = {"hostPath": {"path": "/"}, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    root = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "root"}, "spec": volume}
    claim = {**made(PERSISTENT_VOLUME_CLAIM, "data"), "metadata": {"name": "data", "namespace": "shop"}}
    apply(cluster, root, {**claim, "spec": {**CLAIM, "volumeName": "root"}})
    webhook.register()
    eventually(lambda: "sensitive-host-path" in claim_of_the_node(client, "data"), "the pod to be denied")
    webhook.stop()
    webhook.start()
    assert "sensitive-host-path" in claim_of_the_node(client, "data")
    # And whoever has written it may write it again.
    cluster.kubectl("label", "persistentvolumeclaims", "deep", "-nevil", "c=d")
    cluster.kubectl("label", "namespace", "deep", "c=d")


def test_a_deep_custom_resource_is_one_object_that_is_not_known_whole(
    cluster: ControlPlane, client: Client, webhook: LocalWebhook, tmp_path: Path, eventually: Eventually
) -> None:
    webhook.register()
    kind = TRAEFIK_MIDDLEWARE
    client.create(kind, made(kind, "plain"))
    body = {**made(kind, "deep"), "spec": {"rateLimit": {"average": 1}, "odd": "DEEP", "huge": "HUGE"}}
    file = tmp_path / "deep.json"
    file.write_text(json.dumps(body).replace('"DEEP"', DEEP).replace('"HUGE"', '"\\ud800"'))
    said: list[str] = []

    def created() -> bool:
        found = cluster.kubectl("create", "--raw", path_of(kind, "evil"), "-f", str(file), check=False)
        said.append(found.stdout + found.stderr)
        return "could not be evaluated" in found.stderr

    eventually(created, "the webhook's warning")
    assert not any("InternalError" in text for text in said)
    found = {raw["metadata"]["name"]: raw for raw in client.each(kind)}
    assert lacks_of(found["deep"]).startswith('spec.odd["f:a"]["f:a"]')
    assert found["deep"]["spec"]["rateLimit"] == {"average": 1}
    assert not lacks_of(found["plain"])
    webhook.stop()
    webhook.start()
    client.delete(kind, "evil", "deep")


def test_what_could_be_created_can_be_changed(client: Client, webhook: LocalWebhook, eventually: Eventually) -> None:
    """Its review holds it twice, of what the API server writes as six bytes: 8.6 MB, and 17 MB at most."""
    for name, length in (("large", 700_000), ("largest", 1_400_000)):
        client.create(POD, pod("shop", name, "<" * length, finalizers=["hooli.com/kept"]))
    webhook.register()

    def denied() -> bool:
        try:
            bad = pod("shop", "bad", "a", privileged=True)
            client.request("POST", path_of(POD, "shop"), query={"dryRun": "All"}, body=bad)
        except ForbiddenError:
            return True
        return False

    eventually(denied, "the API server to call the webhook", seconds=60)

    def changed(name: str) -> bool:
        try:
            client.patch(POD, "shop", name, {"metadata": {"finalizers": None}})
        except ApiError:  # the machine is too slow just now for the webhook's few seconds
            return False
        return True

    for name in ("large", "largest"):
        eventually(lambda name=name: changed(name), f"the finalizer of {name} to be removed", seconds=60)
        client.delete(POD, "shop", name)


def test_many_large_reviews_at_once_stay_within_the_limit(webhook: LocalWebhook) -> None:
    review = pod("shop", "large", "<" * 1_400_000)
    asked: Json = {"uid": "u", "operation": "UPDATE", "object": review, "oldObject": review, "namespace": "shop"}
    asked["kind"] = {"group": "", "version": "v1", "kind": "Pod"}
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked})
    data = body.replace("<", "\\u003c").encode()

    def answered(_number: int) -> int:
        connection = http.client.HTTPSConnection(
            f"127.0.0.1:{webhook.port}", context=ssl.create_default_context(cadata=webhook.ca_bundle.decode())
        )
        with contextlib.closing(connection):
            try:
                connection.request("POST", "/validate?timeout=30s", data, {"content-type": "application/json"})
                return connection.getresponse().status
            except OSError:
                return 0  # closed by the webhook, which has no room for it

    with ThreadPoolExecutor(12) as pool:
        found = Counter(pool.map(answered, range(24)))
    assert found[200]
    assert found.keys() <= {200, 408, 503, 0}
    assert answered(0) == 200
    assert peak(webhook.pid) < 0.7 * limit_of("admission"), f"{peak(webhook.pid) / MIB:.0f} MiB"
