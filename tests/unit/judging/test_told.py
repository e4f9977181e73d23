"""What an answer names of a verdict: causes, and never what did not deny in place of what did."""

from typing import Any

from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import Verdict, judge
from iocaudit.evidence.counting import Attempts
from iocaudit.judging.told import with_told
from iocaudit.judging.warning_lines import warnings
from iocaudit.judging.wording import annotations, denial
from iocaudit.sources.admission_review import Review

CATALOGUE = builtin_catalogue()
REQUEST = Request(Operation.CREATE, "alice", namespace="shop")
CONTAINER = {"name": "app", "image": "hooli.com/web:1", "securityContext": {"privileged": True}}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"containers": [CONTAINER]},
}


def judged(**modes: str) -> Verdict:
    rules = [{"ids": [name.replace("_", "-")], "mode": mode} for name, mode in modes.items()]
    policy = read_policy({"metadata": {"name": "p"}, "spec": {"checks": rules}}, CATALOGUE)
    auditor = Auditor(CATALOGUE, PolicySet(CATALOGUE, (policy,)), World())
    resource = Resource(POD, ADMISSION)
    report = auditor.audit(resource, request=REQUEST)
    return with_told(judge(report, auditor.settings_for(resource), REQUEST), CATALOGUE)


def test_a_denial_names_the_cause_alone_and_the_annotation_all() -> None:
    verdict = judged(privileged_container="deny", privilege_escalation_allowed="deny", may_run_as_root="warn")
    assert denial(verdict).startswith("[critical] privileged-container: ")
    assert "privilege-escalation-allowed" not in denial(verdict)
    assert not [line for line in warnings(verdict) if "may run as root" in line]
    said = annotations(verdict)
    assert said["denied"] == "privilege-escalation-allowed,privileged-container"
    assert "may-run-as-root" in said["warned"]


def test_what_denies_is_named_where_its_cause_only_warns() -> None:
    verdict = judged(privileged_container="warn", privilege_escalation_allowed="deny")
    assert denial(verdict).startswith("[medium] privilege-escalation-allowed: ")
    assert [line for line in warnings(verdict) if "privileged-container" in line]


def test_an_attempt_is_counted_once_for_each_cause() -> None:
    verdict = judged(privileged_container="deny", privilege_escalation_allowed="deny", may_run_as_root="deny")
    attempts = Attempts("replica")
    assert attempts.count(Review("1", REQUEST, Resource(POD, ADMISSION), None, "Pod"), verdict) == 1
    assert [attempt.check for attempt in attempts.next_post().attempts] == ["privileged-container"]
