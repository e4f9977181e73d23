"""Sequences: the steps in their order, by one account, within the window."""

from typing import Any

import pytest

from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.indicators.declaration import Detection
from tests.support.detection_samples import reports, seen

SEQUENCES = {one.id: one for one in all_detections() if one.is_sequence}


@pytest.mark.parametrize("detection", SEQUENCES.values(), ids=SEQUENCES)
def test_the_steps_have_an_order(detection: Detection) -> None:
    first, second = reports(detection.doc.fires)
    times = first["stageTimestamp"], second["stageTimestamp"]
    turned = [{**second, "stageTimestamp": times[0]}, {**first, "stageTimestamp": times[1]}]
    assert detection.id not in seen(*turned)


@pytest.mark.parametrize("detection", SEQUENCES.values(), ids=SEQUENCES)
def test_they_lie_within_a_window(detection: Detection) -> None:
    first, second = reports(detection.doc.fires)
    assert detection.id not in seen(first, {**second, "stageTimestamp": "2026-12-01T10:00:00Z"})


@pytest.mark.parametrize("detection", [one for one in SEQUENCES.values() if one.id != "token-minted-then-used"])
def test_they_are_of_one_account(detection: Detection) -> None:
    first, second = reports(detection.doc.fires)
    assert detection.id not in seen(first, {**second, "user": {"username": "bob"}})


@pytest.mark.parametrize("detection", SEQUENCES.values(), ids=SEQUENCES)
def test_without_times_nothing_is_known_of_the_order(detection: Detection) -> None:
    steps = [{**one, "stageTimestamp": None} for one in reports(detection.doc.fires)]
    assert detection.id not in seen(*steps)


def step(user: str, verb: str, resource: str, code: int = 200, **more: Any) -> dict[str, Any]:
    whole, _, subresource = resource.partition("/")
    ref = {"resource": whole, "subresource": subresource, "namespace": "shop", "name": more.pop("name", "x")}
    return {"verb": verb, "user": {"username": user}, "objectRef": ref, "responseStatus": {"code": code}, **more}


def test_an_account_that_binds_itself_where_no_reason_is_logged() -> None:
    subjects = [{"kind": "User", "name": "alice"}]
    bind = step("alice", "create", "rolebindings", 201, requestObject={"subjects": subjects})
    assert "role-edited-then-used" in seen(bind, step("alice", "get", "secrets"))
    other = step("alice", "create", "rolebindings", 201, requestObject={"subjects": [{"kind": "User", "name": "bob"}]})
    assert "role-edited-then-used" not in seen(other, step("alice", "get", "secrets"))


def test_an_administrator_who_installs_and_looks_is_quiet() -> None:
    reason: dict[str, Any] = {
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""}
    }
    steps = [
        step("admin", "create", "clusterroles", 201, **reason),
        step("admin", "create", "rolebindings", 201, **reason),
        step("admin", "get", "secrets", **reason),
        step("admin", "create", "pods/exec", 101, **reason),
    ]
    assert not {*seen(*steps)} & set(SEQUENCES)


def test_what_admission_refused_was_mended_not_allowed() -> None:
    allow: dict[str, Any] = {"annotations": {"authorization.k8s.io/decision": "allow"}}
    steps = [step("alice", "create", "deployments", 403, **allow), step("alice", "create", "deployments", 201, **allow)]
    assert "refused-then-allowed" not in seen(*steps)


def test_reads_that_lead_no_further_are_no_sequence() -> None:
    assert "refused-then-allowed" not in seen(step("alice", "list", "pods", 403), step("alice", "list", "pods"))
    assert "refused-then-allowed" in seen(step("alice", "list", "secrets", 403), step("alice", "list", "secrets"))


def test_a_token_is_told_of_once() -> None:
    token = "authentication.kubernetes.io"
    mint = step("alice", "create", "serviceaccounts/token", 201, annotations={f"{token}/issued-credential-id": "J"})
    user = {"username": "system:serviceaccount:shop:x", "extra": {f"{token}/credential-id": ["J"]}}
    use = {**step("", "list", "pods"), "user": user}
    assert seen(mint, use, use, use).count("token-minted-then-used") == 1
