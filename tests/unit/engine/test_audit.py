"""Faults, deadlines and what cannot be known are said of each check."""

from typing import Any

from iocaudit.core.kinds import NETWORK_POLICY
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Preset

ALICE = Request(Operation.CREATE, "alice", ("dev",))


def pod(**spec: Any) -> Resource:
    container = {"name": "app", "image": "a.io/b:1", **spec.pop("container", {})}
    raw = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [container], **spec},
    }
    return Resource(raw, ADMISSION)


def auditor(catalogue: Catalogue, *policies: dict[str, Any], world: World | None = None) -> Auditor:
    return Auditor(catalogue, read_policies(policies, catalogue, preset=Preset.LOCKDOWN), world or World())


def test_a_deadline_that_passed_is_a_fault_of_each_check() -> None:
    found = auditor(builtin_catalogue())
    report = found.audit(pod(), request=ALICE, deadline=Deadline(0.0, lambda: 1.0))
    assert report.faults
    assert all("ran out of time" in fault.error for fault in report.faults)


def test_an_incomplete_world_is_said() -> None:
    world = World()
    world.mark_incomplete(NETWORK_POLICY, "forbidden")
    report = auditor(builtin_catalogue(), world=world).audit(pod())
    skipped = {entry.check: entry.reason for entry in report.skipped}
    assert "forbidden" in skipped["no-ingress-policy"]
    assert not [found for found in report.found if found.check == "no-ingress-policy"]


def test_what_lacks_a_parameter_is_not_configured() -> None:
    report = auditor(builtin_catalogue()).audit(pod())
    assert report.not_configured["untrusted-registry"] == ("trusted",)


def test_a_malformed_part_is_skipped_with_its_path() -> None:
    raw = pod().raw | {"spec": {"containers": "all of them", "securityContext": []}}
    report = auditor(builtin_catalogue()).audit(Resource(raw, ADMISSION))
    assert {entry.reason.partition(" ")[0] for entry in report.skipped} == {"spec.containers", "spec.securityContext"}


def test_a_policy_set_without_policies_runs_the_default_profile() -> None:
    catalogue = builtin_catalogue()
    named = [check.id for check in catalogue if check.profile == "default"]
    assert 0 < len(named) < len(catalogue)
    assert sorted(PolicySet(catalogue).settings("shop")) == sorted(named)
    report = Auditor(catalogue, PolicySet(catalogue), World()).audit(pod(hostPID=True))
    assert not report.faults
    found = {one.check for one in report.found}
    assert "host-pid" in found
    assert found <= set(named)
