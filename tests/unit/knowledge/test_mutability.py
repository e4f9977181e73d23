"""No patch of what cannot be patched: it says that the object has to be made again."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.core.hit import Hit
from iocaudit.core.kinds import KINDS
from iocaudit.core.repair import Edit, Repair, put, remove
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.kept import AuditedObject, Interner, keep
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.mutability import is_fixed, recreated

CATALOGUE = builtin_catalogue()
SPEC = {"hostPID": True, "containers": [{"name": "c", "image": "example.org/a:1"}]}
AGAIN = "delete it and create it again"


def kept(kind: str, spec: dict[str, Any], version: str = "v1", **metadata: Any) -> AuditedObject:
    raw = {"apiVersion": version, "kind": kind, "metadata": {"name": "it", "uid": "1", **metadata}, "spec": spec}
    resource, world = Resource(raw, CLUSTER), World()
    world.add(resource)
    return keep(resource, Auditor(CATALOGUE, PolicySet(CATALOGUE), world).audit(resource), Interner())


def fixes(found: AuditedObject, check: str) -> list[str]:
    return [hit.hit.fix or hit.fix for hit in found.hits if hit.check == check]


@pytest.mark.parametrize(
    ("kind", "version", "spec"),
    [
        ("Pod", "v1", SPEC),
        ("Job", "batch/v1", {"template": {"spec": SPEC}}),
        ("TaskRun", "tekton.dev/v1", {"taskSpec": {"steps": SPEC["containers"]}, "podTemplate": {"hostNetwork": True}}),
        ("Revision", "serving.knative.dev/v1", SPEC),
        ("Job", "batch.volcano.sh/v1alpha1", {"tasks": [{"name": "a", "template": {"spec": SPEC}}]}),
    ],
)
def test_what_is_fixed_has_no_patch_and_says_so(kind: str, version: str, spec: dict[str, Any]) -> None:
    found = kept(kind, spec, version)
    assert found.hits
    assert found.patches == ()
    mechanical = [hit for hit in found.hits if hit.check in ("host-pid", "may-run-as-root")]
    assert all(AGAIN in (hit.hit.fix or "") and f"while the {kind} exists" in (hit.hit.fix or "") for hit in mechanical)
    assert mechanical


def test_what_takes_a_decision_anyway_does_not_say_it() -> None:
    assert [AGAIN in fix for fix in fixes(kept("Pod", SPEC), "memory-unlimited")] == [False]


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"])
def test_templates_that_may_change_keep_their_patch(kind: str) -> None:
    found = kept(kind, {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": SPEC}}, "apps/v1")
    assert "host-pid" in dict(found.patches)
    assert not any(AGAIN in (hit.hit.fix or "") for hit in found.hits)


def test_a_pod_that_its_owner_makes_anew_is_not_to_be_made_by_hand() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "2", "controller": True}
    found = kept("Pod", SPEC, ownerReferences=[owner])
    assert found.patches == ()
    assert not any(AGAIN in fix for fix in fixes(found, "host-pid"))


@pytest.mark.parametrize(
    ("kind", "raw", "repair", "fixed"),
    [
        (("", "ConfigMap"), {}, remove("data.key"), False),
        (("", "ConfigMap"), {"immutable": True}, remove('data["key"]'), True),
        (("", "Secret"), {"immutable": True}, remove("stringData.key"), True),
        (("", "ConfigMap"), {"immutable": True}, remove("metadata.labels.a"), False),
        (("", "PersistentVolume"), {}, put("x", "spec.hostPath.path"), True),
        (("rbac.authorization.k8s.io", "RoleBinding"), {}, put("x", "roleRef.name"), True),
        (("rbac.authorization.k8s.io", "RoleBinding"), {}, remove("subjects[0]"), False),
        (("apps", "StatefulSet"), {}, put("x", "spec.volumeClaimTemplates[0].spec"), True),
        (("apps", "StatefulSet"), {}, put("x", "spec.templateOfSorts"), False),
        (("batch", "Job"), {}, Repair((Edit("set", "metadata.labels.a", 1), Edit("set", "spec.template", 1))), True),
    ],
)
def test_fields_are_told_apart(kind: tuple[str, str], raw: dict[str, Any], repair: Repair, fixed: bool) -> None:
    hit = Hit("spec", "", repair=repair)
    assert is_fixed(KINDS[kind], raw, hit) is fixed
    assert (recreated(KINDS[kind], raw, hit, "Do it.") == hit) is not fixed
