"""Floods, and what is opened to the outside."""

from tests.support.detection_samples import seen


def rejected(number: int, user: str = "alice", subresource: str = "") -> list[dict[str, object]]:
    return [
        {
            "verb": "create",
            "auditID": f"{n}",
            "user": {"username": user},
            "objectRef": {"resource": "pods", "subresource": subresource},
            "responseStatus": {"code": 429},
            "stageTimestamp": "2026-11-30T10:00:00Z",
        }
        for n in range(number)
    ]


def test_a_few_rejected_requests_are_no_flood() -> None:
    assert seen(*rejected(19)) == []
    assert seen(*rejected(41)) == ["api-server-flooded"] * 2


def test_an_eviction_that_has_to_wait_is_no_flood() -> None:
    assert seen(*rejected(60, subresource="eviction")) == []


def test_a_service_is_opened_by_a_patch_of_either_kind() -> None:
    raw = {
        "verb": "patch",
        "user": {"username": "alice"},
        "objectRef": {"resource": "services", "namespace": "shop", "name": "db"},
        "responseStatus": {"code": 200},
    }
    assert seen({**raw, "requestObject": {"spec": {"type": "NodePort"}}}) == ["service-opened"]
    patch = [{"op": "replace", "path": "/spec/type", "value": "NodePort"}]
    assert seen({**raw, "requestObject": patch}) == ["service-opened"]
    assert seen({**raw, "requestObject": {"spec": {"externalIPs": ["198.51.100.7"]}}}) == ["service-opened"]
    assert seen({**raw, "requestObject": {"spec": {"type": "ClusterIP"}}}) == []
