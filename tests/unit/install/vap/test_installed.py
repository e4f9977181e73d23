"""What is installed, compared with what is wanted."""

from __future__ import annotations

import copy
from datetime import timedelta

from iocaudit.install.vap.installed import is_exported, staleness
from tests.support.exporting import NOW, denying, exported


def test_what_an_api_server_adds_does_not_count() -> None:
    wanted = exported(denying("host-pid")).objects
    there = copy.deepcopy(wanted)
    for one in there:
        one["metadata"] |= {"uid": "x", "resourceVersion": "1"}
        one["status"] = {}
    assert staleness(wanted, there, NOW) == []
    assert all(map(is_exported, there))


def test_every_difference_is_named() -> None:
    wanted = exported(denying("host-pid", "host-ipc")).objects
    there = copy.deepcopy(exported(denying("host-pid", "host-network")).objects)
    changed = next(
        one for one in there if one["metadata"]["name"] == "iocaudit-host-pid" and "validations" in one["spec"]
    )
    changed["spec"]["failurePolicy"] = "Ignore"
    changed["spec"]["validations"][0]["expression"] = "true"
    unlabelled = next(
        one for one in there if one["kind"].endswith("Binding") and one["spec"]["policyName"] == "iocaudit-host-pid"
    )
    unlabelled["metadata"]["labels"] = {}
    foreign = {"kind": "ValidatingAdmissionPolicy", "metadata": {"name": "somebody-elses"}, "spec": {}}
    assert staleness(wanted, [*there, foreign], NOW) == [
        "ValidatingAdmissionPolicy iocaudit-host-ipc is not installed",
        "ValidatingAdmissionPolicy iocaudit-host-pid differs in spec.failurePolicy, spec.validations[0].expression",
        "ValidatingAdmissionPolicyBinding iocaudit-host-ipc is not installed",
        "ValidatingAdmissionPolicyBinding iocaudit-host-pid lacks the label iocaudit.io/export: vap",
        "ValidatingAdmissionPolicy iocaudit-host-network is installed and not asked for any more",
        "ValidatingAdmissionPolicyBinding iocaudit-host-network is installed and not asked for any more",
    ]


def test_a_waiver_whose_end_has_passed_is_named() -> None:
    waiver = {
        "checks": ["host-pid"],
        "namespaces": ["shop"],
        "owner": "team",
        "reason": "known",
        "expires": (NOW + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    left = "leave out namespace shop until 2026-01-02T00:00:00Z (waiver w0)"
    there = exported(denying("host-pid"), waivers=(waiver,)).objects
    plain = exported(denying("host-pid")).objects
    differs = (
        "ValidatingAdmissionPolicyBinding iocaudit-host-pid differs in "
        "spec.matchResources.namespaceSelector.matchExpressions[0].values"
    )
    policy = "ValidatingAdmissionPolicy iocaudit-host-pid"
    assert staleness(there, there, NOW) == []
    assert staleness(plain, there, NOW) == [f"{policy} was exported to {left}, which does not hold any more", differs]
    later = NOW + timedelta(days=1)
    assert staleness(plain, there, later) == [f"{policy} was exported to {left}, which is over", differs]
    assert staleness(there, plain, NOW) == [f"{policy} does not say that it {left.replace('leave', 'leaves')}", differs]
    longer = exported(denying("host-pid"), waivers=({**waiver, "expires": "2026-03-01T00:00:00Z"},)).objects
    assert staleness(longer, there, NOW) == [
        f"{policy} was exported to {left}, which does not hold any more",
        f"{policy} does not say that it leaves out namespace shop until 2026-03-01T00:00:00Z (waiver w0)",
    ]
