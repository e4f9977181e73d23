"""Requests that are refused or find nothing."""

from typing import Any

from tests.support.detection_samples import seen

TIME: dict[str, Any] = {"stageTimestamp": "2026-11-30T10:00:00Z"}


def refused(resource: str, user: str = "alice", verb: str = "list", code: int = 403, **more: Any) -> dict[str, Any]:
    ref = {"resource": resource, "namespace": "shop", "name": more.pop("name", "")}
    return {"verb": verb, "user": {"username": user}, "objectRef": ref, "responseStatus": {"code": code}, **more}


def test_one_refused_read_of_anything_is_quiet() -> None:
    assert seen(refused("endpoints")) == []
    assert seen(refused("endpoints", sourceIPs=["10.0.0.7"])) == []


def test_what_leads_further_is_told() -> None:
    assert seen(refused("secrets")) == ["sensitive-request-refused"]
    assert seen(refused("secrets", "system:node:worker-1")) == []


def test_admission_refuses_for_other_reasons() -> None:
    allow: dict[str, Any] = {"annotations": {"authorization.k8s.io/decision": "allow"}}
    assert seen(refused("pods", verb="create", **allow)) == []
    assert seen(refused("pods", verb="create")) == ["creation-refused"]
    assert seen(refused("tokenreviews", verb="create")) == []


def test_a_program_that_lacks_a_right_is_no_burst() -> None:
    assert seen(*[refused("endpoints", **TIME)] * 50) == []
    many = [refused(f"kind-{number}", **TIME) for number in range(15)]
    assert seen(*many) == ["refusals-in-burst"]
    assert seen(*[{**one, "user": {"username": "system:node:worker-1"}} for one in many]) == []


def test_misses_of_one_thing_are_no_burst() -> None:
    assert seen(*[refused("pods", verb="get", code=404, name="x", **TIME)] * 100) == []
    many = [refused("pods", verb="get", code=404, name=f"x-{number}", **TIME) for number in range(40)]
    assert seen(*many) == ["misses-in-burst"]
