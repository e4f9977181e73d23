"""Whose finding a pod's hit is."""

from collections.abc import Iterator
from typing import Any

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import DEPLOYMENT, POD, PODS, REPLICA_SET
from iocaudit.core.report import Finding
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.kept import Interner, keep
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.live.inventory import Inventory

Json = dict[str, Any]


@check("bad-image", severity=Severity.HIGH, iocs=(IoC.UNKNOWN_BINARY,), group="images", looks_at=PODS)
def bad_image(pod: PodSpec) -> Iterator[Hit]:
    """An image is bad."""
    for container in pod.containers:
        if container.image_text.startswith("bad"):
            yield container.hit("image", "is bad", container.image_text)


@check("bad-power", severity=Severity.CRITICAL, iocs=(IoC.CLUSTER_ADMIN,), group="pods", looks_at=PODS)
def bad_power(pod: PodSpec) -> Iterator[Hit]:
    """It sees the node."""
    if pod.spec.get("hostPID"):
        yield pod.hit("hostPID", "sees the node's processes")


CATALOGUE = Catalogue([bad_image, bad_power])
AUDITOR = Auditor(CATALOGUE, PolicySet(CATALOGUE), World())


def thing(
    kind: str,
    name: str,
    image: str = "bad/app",
    *,
    owner: Json | None = None,
    labels: dict[str, str] | None = None,
    replicas: int = 1,
    **more: Any,
) -> Json:
    spec: Json = {"containers": [{"name": "app", "image": image}], **more}
    if kind != "Pod":
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec},
        }
    metadata: Json = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "labels": labels if labels is not None else {"app": "web"},
    }
    if owner is not None:
        metadata["ownerReferences"] = [{"controller": True, **owner}]
    version = "v1" if kind == "Pod" else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def owned_by(kind: str, name: str, *, version: str = "apps/v1", uid: str | None = None) -> Json:
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid or f"uid-{name}"}


def findings(*objects: Json) -> list[Finding]:
    inventory = Inventory()
    inventory.serve([POD, REPLICA_SET, DEPLOYMENT])
    intern = Interner()
    for raw in objects:
        resource = Resource(raw, CLUSTER)
        inventory.put(keep(resource, AUDITOR.audit(resource), intern))
    return inventory.findings("shop")


def subjects(*objects: Json) -> set[tuple[str, bool]]:
    return {(f"{f.subject.kind}/{f.subject.name}", f.verified) for f in findings(*objects)}


DEPLOYMENT_WEB = thing("Deployment", "web")
REPLICA_SET_WEB = thing("ReplicaSet", "web-1", owner=owned_by("Deployment", "web"))


def test_same_hit_is_said_once_on_the_top_owner() -> None:
    pods = [thing("Pod", f"web-1-{i}", owner=owned_by("ReplicaSet", "web-1")) for i in range(3)]
    assert subjects(*pods, REPLICA_SET_WEB, DEPLOYMENT_WEB) == {("Deployment/web", True)}


def test_another_image_is_the_pods_own() -> None:
    pod = thing("Pod", "web-1-a", "bad/other", owner=owned_by("ReplicaSet", "web-1"))
    assert subjects(pod, REPLICA_SET_WEB, DEPLOYMENT_WEB) == {("Deployment/web", True), ("Pod/web-1-a", True)}


def test_claims_that_do_not_hold_fold_nothing() -> None:
    wrong_uid = thing("Pod", "a", owner=owned_by("ReplicaSet", "web-1", uid="made-up"))
    wrong_labels = thing("Pod", "b", labels={"app": "other"}, owner=owned_by("ReplicaSet", "web-1"))
    wrong_name = thing("Pod", "c", owner=owned_by("ReplicaSet", "other", uid="uid-web-1"))
    assert subjects(wrong_uid, wrong_labels, wrong_name, REPLICA_SET_WEB, DEPLOYMENT_WEB) == {
        ("Deployment/web", True),
        ("Pod/a", True),
        ("Pod/b", True),
        ("Pod/c", True),
    }


def test_reference_that_is_no_controller_counts_for_nothing() -> None:
    pod = thing("Pod", "a", owner={**owned_by("ReplicaSet", "web-1"), "controller": False})
    assert ("Pod/a", True) in subjects(pod, REPLICA_SET_WEB, DEPLOYMENT_WEB)


def test_unknown_owner_kinds_share_an_unverified_finding() -> None:
    pods = [
        thing("Pod", name, image, owner=owned_by("Farm", "big", version="acme.io/v1"))
        for name, image in (("a", "bad/app"), ("b", "bad/app"), ("c", "bad/other"))
    ]
    found = findings(*pods)
    assert [(f.subject.kind, f.subject.name, f.verified, len(f.hits)) for f in found] == [("Farm", "big", False, 2)]


def test_node_is_never_an_owner() -> None:
    pod = thing("Pod", "mirror", owner=owned_by("Node", "node-1", version="v1"))
    assert subjects(pod) == {("Pod/mirror", True)}


def test_replica_set_of_zero_under_its_deployment_is_history() -> None:
    fixed = thing("Deployment", "web", "good/app")
    old = thing("ReplicaSet", "web-0", owner=owned_by("Deployment", "web"), replicas=0)
    assert subjects(old, fixed) == set()
    assert subjects(thing("ReplicaSet", "web-0", replicas=0)) == {("ReplicaSet/web-0", True)}


def test_old_replica_set_keeps_the_hits_of_its_pods() -> None:
    fixed = thing("Deployment", "web", "good/app")
    pods = [thing("Pod", f"p{i}", owner=owned_by("ReplicaSet", "web-1")) for i in range(2)]
    assert subjects(*pods, REPLICA_SET_WEB, fixed) == {("ReplicaSet/web-1", True)}


def test_what_hands_over_the_node_to_another_program_is_the_pods_own() -> None:
    """Whoever changes the image of a pod does not hide behind the finding on what was accepted."""
    whole = thing("Deployment", "web", "good/app:1", hostPID=True)
    between = thing("ReplicaSet", "web-1", "good/app:1", owner=owned_by("Deployment", "web"), hostPID=True)
    for image, own in (("good/app:2", False), ("docker.io/good/app@sha256:" + "a" * 64, False), ("evil/app:1", True)):
        pod = thing("Pod", "p", image, owner=owned_by("ReplicaSet", "web-1"), hostPID=True)
        assert subjects(pod, between, whole) == {("Deployment/web", True), *([("Pod/p", True)] if own else [])}, image


def test_an_idle_replica_set_that_lost_its_deployment_is_no_history() -> None:
    """It can be scaled up: nothing else says what it runs."""
    old = thing("ReplicaSet", "web-0", "good/app", owner=owned_by("Deployment", "web"), replicas=0, hostPID=True)
    fixed = thing("Deployment", "web", "good/app")
    assert subjects(old, fixed) == set()
    assert subjects(old) == {("ReplicaSet/web-0", True)}
    del old["metadata"]["ownerReferences"]  # kubectl delete --cascade=orphan
    assert subjects(old, fixed) == {("ReplicaSet/web-0", True)}


def test_owners_in_a_circle_end() -> None:
    one = thing("ReplicaSet", "one", "bad/1", owner=owned_by("ReplicaSet", "two"))
    two = thing("ReplicaSet", "two", "bad/2", owner=owned_by("ReplicaSet", "one"))
    assert {name for name, _ in subjects(one, two)} <= {"ReplicaSet/one", "ReplicaSet/two"}


def test_order_of_arrival_changes_nothing() -> None:
    objects = [thing("Pod", f"p{i}", f"bad/{i % 2}") for i in range(5)] + [REPLICA_SET_WEB, DEPLOYMENT_WEB]
    assert findings(*objects) == findings(*reversed(objects))


def test_equal_hits_are_kept_once() -> None:
    intern = Interner()
    resources = [Resource(thing("Pod", f"p{i}"), CLUSTER) for i in range(2)]
    one, two = (keep(resource, AUDITOR.audit(resource), intern) for resource in resources)
    assert one.hits is two.hits
