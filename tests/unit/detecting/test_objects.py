"""Objects in audit events go through the same checks as any other."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.detecting.objects import RecordedObjects
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import signal_of
from tests.support.audit_events import event

CATALOGUE = builtin_catalogue()
BAD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"containers": [{"name": "app", "image": "a:1", "securityContext": {"privileged": True}}]},
}
DAEMON_SETS = "system:serviceaccount:kube-system:daemon-set-controller"


def judged(**given: Any) -> tuple[list[Sighting], RecordedObjects]:
    objects = RecordedObjects(Auditor(CATALOGUE, read_policies([], CATALOGUE), World()))
    raw = {"requestObject": BAD, "responseObject": None, **given}
    return list(objects.take(signal_of(read_event(event(**raw), LinePlace("x", 1), "native")))), objects


def rules(**given: Any) -> set[str]:
    return {one.rule for one in judged(**given)[0]}


def test_the_finding_names_the_user_and_the_check() -> None:
    found, objects = judged()
    one = next(each for each in found if each.rule == "privileged-container")
    assert one.message.startswith("alice creates Pod shop/web: ")
    assert (one.severity, one.is_check, one.related) == (Severity.CRITICAL, True, ("privileged-container",))
    assert one.technique.startswith("T1")
    assert (objects.judged, objects.not_judged, objects.faults) == (1, 0, [])


def test_a_pod_of_a_controller_in_a_teams_namespace_is_judged() -> None:
    user = {"username": "system:serviceaccount:kube-system:replicaset-controller"}
    assert "privileged-container" in rules(user=user)


@pytest.mark.parametrize(
    "given",
    [
        {"responseStatus": {"code": 403}},
        {"verb": "delete"},
        {"verb": "get"},
        {"requestURI": "/api/v1/namespaces/shop/pods?dryRun=All"},
        {"objectRef": {"resource": "pods", "subresource": "status", "namespace": "shop", "name": "web"}},
        {"objectRef": {"resource": "pods", "namespace": "kube-system", "name": "x"}, "user": {"username": DAEMON_SETS}},
        {"verb": "update", "user": {"username": DAEMON_SETS}, "responseStatus": {"code": 200}},
    ],
)
def test_what_is_left_out(given: dict[str, Any]) -> None:
    assert rules(**given) == set()


def test_an_object_that_the_log_does_not_hold_is_counted() -> None:
    _, objects = judged(requestObject=None, level="Metadata")
    assert (objects.judged, objects.not_judged) == (0, 1)


def test_what_was_stored_is_judged_of_a_patch() -> None:
    patch = {"metadata": {"labels": {"a": "b"}}}
    assert "privileged-container" in rules(verb="patch", requestObject=patch, responseObject=BAD)
