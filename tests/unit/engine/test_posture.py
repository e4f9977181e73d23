"""Posture denies only what a request introduces, and follows the policy where a check failed."""

from collections.abc import Iterator
from typing import Any

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.posture import judge
from iocaudit.engine.presets import Preset
from iocaudit.knowledge.pods.pod import PodSpec

ALICE = Request(Operation.CREATE, "alice", ("dev",))


UPDATE = Request(Operation.UPDATE, "alice", ("dev",))


def pod(**spec: Any) -> Resource:
    container = {"name": "app", "image": "a.io/b:1", **spec.pop("container", {})}
    raw = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [container], **spec},
    }
    return Resource(raw, ADMISSION)


@check("broken-check", severity=Severity.CRITICAL, iocs=(IoC.CLUSTER_ADMIN,), group="pods", looks_at=PODS)
def broken(pod: PodSpec) -> Iterator[Hit]:
    """It raises."""
    yield Hit("spec", "first")
    raise RuntimeError("boom")


def auditor(catalogue: Catalogue, *policies: dict[str, Any], world: World | None = None) -> Auditor:
    return Auditor(catalogue, read_policies(policies, catalogue, preset=Preset.LOCKDOWN), world or World())


def settle(found: Auditor, resource: Resource, request: Request = ALICE, old: Resource | None = None) -> Any:
    report = found.audit(resource, request=request)
    before = found.audit(old, request=request) if old is not None else None
    return judge(report, found.settings_for(resource), request, old=before)


def test_a_check_that_raises_is_a_fault_and_follows_on_fault() -> None:
    catalogue = Catalogue([broken])
    verdict = settle(auditor(catalogue), pod())
    assert not verdict.allowed
    assert "boom" in verdict.fault_denials[0].error
    spec = {"checks": [{"ids": ["broken-check"], "mode": "deny"}], "onFault": "allow"}
    lenient = settle(auditor(catalogue, {"metadata": {"name": "p"}, "spec": spec}), pod())
    assert lenient.faults
    assert not lenient.fault_denials


PRIVILEGED: dict[str, Any] = {"securityContext": {"privileged": True}}


def test_an_update_denies_only_what_it_introduces() -> None:
    found = auditor(builtin_catalogue())
    bad, good = pod(container=PRIVILEGED), pod()
    assert not settle(found, bad).allowed
    assert settle(found, bad, UPDATE, old=bad).allowed
    assert not settle(found, bad, UPDATE, old=good).allowed
    etc = pod(volumes=[{"name": "v", "hostPath": {"path": "/etc"}}])
    root = pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}])
    verdict = settle(found, root, UPDATE, old=etc)
    assert not verdict.allowed, "/etc changed to / is introduced"
    assert any("exposes host path / " in found.message for found in verdict.denials)


def test_an_exempt_subject_is_warned_and_not_denied() -> None:
    spec = {
        "checks": [{"ids": ["privileged-container"]}],
        "exemptSubjects": [{"kind": "Group", "name": "dev"}],
    }
    verdict = settle(auditor(builtin_catalogue(), {"metadata": {"name": "p"}, "spec": spec}), pod(container=PRIVILEGED))
    assert verdict.allowed
    assert verdict.warnings[0].check == "privileged-container"
    assert verdict.spared["exempt"]


def test_a_pod_of_an_existing_owner_is_not_denied_for_its_owners_hits() -> None:
    found = auditor(builtin_catalogue())
    template = {"metadata": {}, "spec": pod(container=PRIVILEGED).raw["spec"]}
    owner = Resource(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"template": template},
        },
        ADMISSION,
    )
    owner_report = found.audit(owner)
    same = pod(container=PRIVILEGED)
    settings = found.settings_for(same)
    assert judge(found.audit(same, request=ALICE), settings, ALICE, owners=[owner_report]).allowed
    more = pod(container=PRIVILEGED, hostPID=True)
    assert not judge(found.audit(more, request=ALICE), settings, ALICE, owners=[owner_report]).allowed
