"""Denied attempts on record: the most frequent first, and whether the same would be denied still."""

from __future__ import annotations

from typing import Any

from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_reader import read_policies
from iocaudit.impact.past_attempts import past_attempts
from tests.support.logged import CATALOGUE, policy


def body(check: str, times: int, user: str = "alice", **given: Any) -> dict[str, Any]:
    subject = {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web"}
    finding = {
        "check": check,
        "severity": "critical",
        "type": "denied-attempt",
        "subject": subject,
        "user": user,
        "count": times,
        "firstSeen": "2026-11-01T00:00:00Z",
        "lastSeen": "2026-11-30T00:00:00Z",
    }
    return {"finding": finding | given}


def test_attempts_are_told_with_what_would_become_of_them() -> None:
    spec = {"exemptSubjects": [{"kind": "ServiceAccount", "name": "cd", "namespace": "ci"}]}
    policies = read_policies([policy("privileged-container", **spec)], CATALOGUE)
    bodies = [
        body("privileged-container", 3),
        body("host-pid", 7),
        body("privileged-container", 1, user="system:serviceaccount:ci:cd"),
        body("privileged-container", 9, type="posture"),
        body("privileged-container", 2, severity="odd", subject="wrong", count="many"),
        {"finding": "wrong"},
    ]
    found = past_attempts(bodies, Auditor(CATALOGUE, policies, World()))
    assert [(one.check, one.times, one.still) for one in found] == [
        ("host-pid", 7, False),
        ("privileged-container", 3, True),
        ("privileged-container", 1, False),
        ("privileged-container", 0, True),
    ]


def test_an_attempt_may_have_been_any_request_that_the_check_looks_at() -> None:
    policies = read_policies([policy("privileged-container", match={"operations": ["UPDATE"]})], CATALOGUE)
    (found,) = past_attempts([body("privileged-container", 1)], Auditor(CATALOGUE, policies, World()))
    assert found.still
