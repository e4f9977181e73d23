"""What is kept of a cluster's objects: enough for every look-up, and no more than bounded bytes."""

from __future__ import annotations

import copy
import marshal
import tracemalloc
from typing import Any

import orjson
import pytest

from iocaudit.core.check import Check
from iocaudit.core.kinds import (
    CLUSTER_ROLE,
    NAMESPACE,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    ROLE,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    kind_of,
)
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.decoding.objects import decode_object
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.knowledge.keeping import LARGEST, SHARE, SMALL, Keeper
from tests.support.pairs import CATALOGUE, alone, examples_of

Json = dict[str, Any]


def made(kind: Kind, name: str, namespace: str | None = "shop", /, **content: Any) -> Json:
    metadata = {"name": name, "uid": f"uid-{name}", **content.pop("metadata", {})}
    if kind.namespaced:
        metadata["namespace"] = namespace
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **content}


def size(resource: Resource) -> int:
    return len(marshal.dumps(resource.raw, 1))


def policy(name: str, peers: int, namespace: str = "shop") -> Json:
    ports = [{"port": number} for number in range(peers)]
    spec = {"podSelector": {"matchLabels": {"app": name}}, "ingress": [{"ports": ports}]}
    return made(NETWORK_POLICY, name, namespace, spec=spec)


@pytest.mark.parametrize(
    "check", [check for check in CATALOGUE if check.needs or check.uses or check.in_audits], ids=lambda check: check.id
)
def test_a_check_says_the_same_of_what_is_kept(check: Check) -> None:
    policies = read_policies([alone(check, "audit")], CATALOGUE)
    if check.admission_only:
        return
    for example in examples_of(check):
        reports = []
        for kept in (False, True):
            world = World()
            for raw in copy.deepcopy([example.subject, *example.companions]):
                kind = kind_of(raw["apiVersion"].rpartition("/")[0], raw["kind"])
                if kind is not None:
                    world.put(Keeper(kind).keep(raw) if kept else Resource(raw, CLUSTER, kind=kind))
            subject = Resource(example.subject, CLUSTER, kind=example.kind)
            reports.append(Auditor(Catalogue([check]), policies, world).audit(subject))
        assert reports[0] == reports[1], str(example)


def test_annotations_are_kept_where_checks_look_for_them() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied": "<" * 250_000, "a": "b", "konghq.com/plugins": "limit"}
    found = Keeper(SERVICE).keep(made(SERVICE, "a", metadata={"annotations": annotations, "managedFields": [1]}))
    assert found.annotations == {"konghq.com/plugins": "limit"}
    assert not found.lacks


def test_of_a_large_object_the_beginning_is_kept() -> None:
    whole = policy("large", 100_000)
    found = Keeper(NETWORK_POLICY).keep(whole)
    assert found.ref == Resource(whole, CLUSTER).ref
    assert found.uid == "uid-large"
    assert size(found) <= LARGEST
    assert found.lacks.startswith("it takes ")
    assert found.raw["spec"]["podSelector"] == {"matchLabels": {"app": "large"}}
    assert not Keeper(NETWORK_POLICY).keep(policy("real", 1000)).lacks


@pytest.mark.parametrize("filler", ["labels", "names", "text", "deep"])
def test_however_an_object_is_filled_it_is_bounded(filler: str) -> None:
    deep: Any = []
    for _ in range(190):
        deep = [deep, *["x"] * 5]
    contents: dict[str, Json] = {
        "labels": {"metadata": {"labels": {f"label-{number}": "x" * 60 for number in range(20_000)}}},
        "names": {"spec": {"x" * 400 + str(number): {} for number in range(5000)}},
        "text": {"spec": {"a": "x" * 1_500_000}},
        "deep": {"spec": deep, "more": ["x" * 1000] * 1000},
    }
    keeper = Keeper(SERVICE)
    for number in range(150):
        found = keeper.keep(made(SERVICE, f"a-{number}", **copy.deepcopy(contents[filler])))
        assert found.lacks
        assert size(found) <= LARGEST
    assert size(found) <= SMALL  # nothing is left of the share


def test_a_namespaces_objects_share_what_large_ones_take() -> None:
    keeper = Keeper(NETWORK_POLICY)
    kept = [keeper.keep(policy(f"evil-{number}", 2500, "evil")) for number in range(200)]
    assert sum(map(size, kept)) < SHARE + 200 * SMALL
    assert not kept[0].lacks
    assert kept[-1].lacks
    assert not keeper.keep(policy("small", 3, "evil")).lacks
    assert not keeper.keep(policy("other", 2500, "shop")).lacks
    # Once there is room again, the next change is kept whole.
    for number in range(100):
        keeper.forget(policy(f"evil-{number}", 1, "evil"))
    assert not keeper.keep(policy("evil-199", 2500, "evil")).lacks
    assert keeper.keep(policy("evil-199", 2500, "evil")) is not None


def test_an_object_that_changes_is_counted_once() -> None:
    keeper = Keeper(NETWORK_POLICY)
    found = [keeper.keep(policy("same", 2500)) for _ in range(1000)]
    assert not any(one.lacks for one in found)


def test_a_namespace_takes_from_itself_alone() -> None:
    keeper = Keeper(NAMESPACE)
    labels = {f"label-{number}": "x" * 60 for number in range(20_000)}
    for number in range(100):
        keeper.keep(made(NAMESPACE, f"evil-{number}", metadata={"labels": labels}))
    found = keeper.keep(made(NAMESPACE, "shop", metadata={"labels": dict(list(labels.items())[:500])}))
    assert not found.lacks
    assert len(found.labels) == 500


@pytest.mark.parametrize("kind", [ROLE, CLUSTER_ROLE, AUDIT_POLICY], ids=str)
def test_what_decides_about_rights_is_whole_however_long(kind: Kind) -> None:
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["x" * 100]}] * 10_000
    found = Keeper(kind).keep(made(kind, "long", rules=rules))
    assert not found.lacks
    assert found.raw["rules"] == rules


def test_a_claim_is_not_hidden_by_what_fills_it() -> None:
    beta = "volume.beta.kubernetes.io/storage-class"
    metadata = {
        "labels": {f"label-{number}": "x" * 60 for number in range(20_000)},
        "annotations": {"a": "x" * 200_000, beta: "x" * 1000},
    }
    spec = {"volumeName": "etc", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    filled = {**spec, "dataSource": {"name": "x" * 100_000}}
    found = Keeper(PERSISTENT_VOLUME_CLAIM).keep(made(PERSISTENT_VOLUME_CLAIM, "a", metadata=metadata, spec=filled))
    assert not found.lacks
    assert found.raw["spec"] == spec
    assert found.annotations == {beta: "x" * 254}
    selector = {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"] * 10_000}]}
    odd = Keeper(PERSISTENT_VOLUME_CLAIM).keep(made(PERSISTENT_VOLUME_CLAIM, "a", spec={**spec, "selector": selector}))
    assert odd.lacks == "its selector is too long to be kept"
    assert odd.raw["spec"] == spec


def test_of_a_service_account_what_fills_it_is_left_out() -> None:
    secrets = [{"name": "x" * 200}] * 5000
    found = Keeper(SERVICE_ACCOUNT).keep(
        made(SERVICE_ACCOUNT, "a", secrets=secrets, automountServiceAccountToken=False)
    )
    assert not found.lacks
    assert found.raw["automountServiceAccountToken"] is False


def test_what_is_kept_of_a_small_object_takes_at_most_two_kilobytes() -> None:
    def text(number: int) -> bytes:
        metadata = {"annotations": {"a": "<" * 250_000}, "resourceVersion": f"1{number}", "generation": 1}
        spec = {"podSelector": {"matchLabels": {"app": f"a-{number}"}}, "policyTypes": ["Ingress"]}
        return orjson.dumps(made(NETWORK_POLICY, f"a-{number}", metadata=metadata, spec=spec))

    world, keeper, count = World(), Keeper(NETWORK_POLICY), 500
    world.put(keeper.keep(decode_object(text(count))))
    tracemalloc.start()
    try:
        for number in range(count):
            world.put(keeper.keep(decode_object(text(number))))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / count < 2048
