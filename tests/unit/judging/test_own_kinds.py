"""AuditPolicies as they are made, changed and removed: allowed, warned about and recorded where they weaken."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.posture import Verdict
from iocaudit.engine.presets import Preset
from iocaudit.judging.review import decide
from tests.support.plain_reviews import Json, review

CATALOGUE = builtin_catalogue()
DENY = {"ids": ["host-network"], "mode": "deny"}


def policy(*checks: Json, name: str = "one", **spec: Any) -> Json:
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": name},
        "spec": {"checks": list(checks), **spec},
    }


def asked(operation: str, new: Json | None, old: Json | None = None, in_force: tuple[Json, ...] = ()) -> Verdict:
    policies = read_policies([*in_force, *([old] if old else [])], CATALOGUE, preset=Preset.LOCKDOWN)
    auditor = Auditor(CATALOGUE, policies, World())
    return decide(review(operation, new, old), auditor, Deadline.within(3))


@pytest.mark.parametrize(
    ("operation", "new", "old", "note"),
    [
        (
            "CREATE",
            policy({"profiles": ["default"], "mode": "off"}),
            None,
            "AuditPolicy one turns off admission-bypass, cluster-admin-binding",
        ),
        (
            "UPDATE",
            policy({"ids": ["host-network"], "mode": "warn"}),
            policy(DENY),
            "AuditPolicy one only warns about, and does not deny, what is found by host-network everywhere",
        ),
        (
            "DELETE",
            None,
            policy(DENY),
            "AuditPolicy one is removed, which only warns about, and does not deny, what is found by host-network",
        ),
    ],
)
def test_what_weakens_is_allowed_warned_about_and_recorded(
    operation: str, new: Json | None, old: Json | None, note: str
) -> None:
    verdict = asked(operation, new, old)
    assert verdict.allowed
    assert [said for said in verdict.notes if said.startswith(note)]
    (found,) = verdict.recorded
    assert (found.check, found.severity, found.subject.name) == ("policy-weakens-guard", Severity.HIGH, "one")
    assert found.hit.message.startswith(note)


@pytest.mark.parametrize(
    ("operation", "new", "old"),
    [
        ("CREATE", policy(DENY), None),
        ("UPDATE", policy(DENY), policy({"ids": ["host-network"], "mode": "warn"})),
        ("UPDATE", policy(DENY, {"ids": ["host-pid"], "mode": "deny"}), policy(DENY)),
        ("DELETE", None, policy({"ids": ["privileged-container"], "mode": "off"})),
        (
            "UPDATE",
            policy({"ids": ["privileged-container"], "mode": "off"}),
            policy({"ids": ["privileged-container"], "mode": "off"}),
        ),
    ],
)
def test_what_tightens_or_changes_nothing_is_silent(operation: str, new: Json | None, old: Json | None) -> None:
    verdict = asked(operation, new, old)
    assert verdict == Verdict(allowed=True)


def test_what_another_policy_still_denies_is_not_weakened() -> None:
    strict = policy(DENY, name="strict", priority=5)
    assert asked("DELETE", None, policy(DENY), (strict,)).recorded == ()
    assert asked("CREATE", policy({"ids": ["host-network"], "mode": "off"}), None, (strict,)).recorded == ()
    loose = policy({"ids": ["host-network"], "mode": "off"}, priority=9)
    assert len(asked("CREATE", loose, None, (strict,)).recorded) == 1


def test_one_that_cannot_be_used_is_refused() -> None:
    verdict = asked("CREATE", policy({"mode": "off"}))
    assert not verdict.allowed
    assert "names no check" in verdict.refusal


def test_one_that_cannot_be_used_any_more_weakens_when_it_goes() -> None:
    """What is in force of it is its last good version, as the webhook holds it."""
    auditor = Auditor(CATALOGUE, read_policies([policy(DENY)], CATALOGUE, preset=Preset.LOCKDOWN), World())
    verdict = decide(review("DELETE", None, policy({"mode": "off"})), auditor, Deadline.within(3))
    assert len(verdict.recorded) == 1


def test_namespaces_that_there_are_count_whatever_their_labels() -> None:
    world = World()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"env": "dev"}}}
    world.put(Resource(namespace, CLUSTER))
    auditor = Auditor(CATALOGUE, read_policies([], CATALOGUE, preset=Preset.LOCKDOWN), world)
    off = policy(
        {"ids": ["privileged-container"], "mode": "off"},
        match={"namespaces": ["s*"], "namespaceSelector": {"matchLabels": {"env": "dev"}}},
    )
    assert len(decide(review("CREATE", off), auditor, Deadline.within(3)).recorded) == 1
