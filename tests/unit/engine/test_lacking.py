"""An object that is not known whole costs itself and its own namespace something, and the others nothing."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.core.kinds import NAMESPACE, SERVICE
from iocaudit.core.kinds.gateways import KONG_PLUGIN
from iocaudit.core.partial import PartialObject
from iocaudit.core.report import Report
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.outline import slim

CATALOGUE = builtin_catalogue()
ALICE = Request(Operation.CREATE, "alice", ("dev",))
WHY = "spec.a nests more than 200 levels deep"


def made(kind: str, namespace: str | None, name: str, /, api: str = "v1", lacks: str = "", **content: Any) -> Resource:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    raw = {"apiVersion": api, "kind": kind, "metadata": metadata, **content}
    return Resource(PartialObject(raw, lacks) if lacks else raw, CLUSTER)


def pod(namespace: str, **metadata: Any) -> Resource:
    spec = {"containers": [{"name": "app", "image": "a.io/b:1", "securityContext": {"privileged": True}}]}
    found = made("Pod", namespace, "web", spec=spec)
    found.metadata.update(metadata)  # type: ignore[attr-defined]
    return found


def ingress(namespace: str, plugin: str) -> Resource:
    found = made(
        "Ingress",
        namespace,
        "web",
        api="networking.k8s.io/v1",
        spec={"ingressClassName": "kong", "rules": [{"host": "a.io", "http": {"paths": [{"path": "/"}]}}]},
    )
    found.metadata["annotations"] = {"konghq.com/plugins": plugin}  # type: ignore[index]
    return found


def plugin(namespace: str, lacks: str = "") -> Resource:
    content = {} if lacks else {"plugin": "rate-limiting", "config": {"minute": 5}}
    return made("KongPlugin", namespace, "limit", api="configuration.konghq.com/v1", lacks=lacks, **content)


def audit(world: World, resource: Resource, request: Request | None = None) -> Report:
    return Auditor(CATALOGUE, PolicySet(CATALOGUE, ()), world).audit(resource, request=request)


def test_a_subject_is_skipped_beside_the_hits_in_the_rest_of_it() -> None:
    subject = pod("shop")
    subject.lacks = WHY
    report = audit(World(), subject)
    assert "privileged-container" in {found.check for found in report.found}
    said = [skipped for skipped in report.skipped if skipped.check is None]
    assert [skipped.reason for skipped in said] == [f"the object was not read whole: {WHY}"]
    assert not report.faults


def test_what_is_asked_to_be_admitted_is_a_fault_of_every_check_on_it() -> None:
    subject = pod("shop")
    whole = audit(World(), subject, ALICE)
    subject.lacks = WHY
    report = audit(World(), subject, ALICE)
    assert report.found == whole.found
    assert {fault.error for fault in report.faults} == {f"the object was not read whole: {WHY}"}
    assert {found.check for found in whole.found} < {fault.check for fault in report.faults}


def test_what_a_namespace_lacks_concerns_its_own_objects_alone() -> None:
    world = World()
    for resource in (plugin("shop"), plugin("evil", WHY)):
        world.put(resource)
    before = audit(world, ingress("shop", "limit"))
    assert world.complete_for(ingress("shop", "limit"))
    report = audit(world, ingress("evil", "limit"))
    reasons = {skipped.reason for skipped in report.skipped if skipped.check == "no-rate-limit"}
    assert reasons == {f"KongPlugin evil/limit is not known whole: {WHY}"}
    world.put(plugin("evil"))
    assert audit(world, ingress("shop", "limit")) == before
    assert world.complete_for(ingress("evil", "limit"))


def test_a_direct_look_up_from_elsewhere_is_skipped() -> None:
    world = World()
    world.put(plugin("evil", WHY))
    report = audit(world, ingress("shop", "evil:limit"))
    assert ("no-rate-limit", f"KongPlugin evil/limit is not known whole: {WHY}") in {
        (skipped.check, skipped.reason) for skipped in report.skipped
    }
    assert "no-rate-limit" not in {found.check for found in report.found}
    assert audit(world, pod("shop")).found == audit(World(), pod("shop")).found


@pytest.mark.parametrize("namespace", ["shop", "evil", None])
def test_what_cluster_scope_lacks_concerns_all(namespace: str | None) -> None:
    world = World()
    world.put(made("IngressClass", None, "kong", api="networking.k8s.io/v1", lacks=WHY))
    asking = pod(namespace) if namespace else made("Namespace", None, "a")
    assert not world.complete_for(asking)


def test_a_namespace_is_at_home_in_itself() -> None:
    world = World()
    world.put(made("Namespace", None, "evil", lacks=WHY))
    assert world.complete_for(pod("shop"))
    assert world.incomplete(NAMESPACE, pod("shop")) is None
    assert world.incomplete(NAMESPACE, pod("evil")) == f"Namespace evil is not known whole: {WHY}"
    world.remove(NAMESPACE, None, "evil")
    assert world.complete_for(pod("evil"))


def test_a_fresh_list_is_all_there_is() -> None:
    world = World()
    world.put(made("Service", "evil", "a", lacks=WHY))
    world.put(plugin("evil", WHY))
    world.replace(SERVICE, [])
    assert world.incomplete(SERVICE, pod("evil")) is None
    assert world.incomplete(KONG_PLUGIN, pod("evil")) is not None
    world.replace(KONG_PLUGIN, [])
    assert world.complete_for(pod("evil"))


def test_what_is_kept_of_an_object_lacks_what_it_lacks() -> None:
    for resource in (made("Deployment", "a", "b", api="apps/v1", lacks=WHY), made("Service", "a", "b", lacks=WHY)):
        assert resource.kind is not None
        assert slim(resource.raw, resource.kind).lacks == WHY
