"""What was tried and refused is an activity of a user, besides a refusal."""

from typing import Any

from tests.support.detection_samples import seen


def tried(resource: str, subresource: str, user: str = "alice", code: int = 403, **given: Any) -> set[str]:
    target = {"resource": resource, "subresource": subresource, "namespace": "shop", "name": "x"}
    raw = {"verb": "create", "user": {"username": user}, "objectRef": target, "responseStatus": {"code": code}}
    return {*seen(raw | given)}


def test_a_session_that_was_refused() -> None:
    for subresource in ("exec", "attach", "portforward", "ephemeralcontainers"):
        assert "session-refused" in tried("pods", subresource)
    assert "session-refused" in tried("nodes", "proxy")
    assert "session-refused" not in tried("pods", "log")
    assert "session-refused" not in tried("pods", "exec", code=101)
    assert "session-refused" not in tried("pods", "exec", user="system:serviceaccount:kube-system:x")


def test_another_name_that_was_refused() -> None:
    other = {"username": "system:admin"}
    assert "impersonation-refused" in tried("pods", "", impersonatedUser=other)
    assert "impersonation-refused" in tried("users", "", verb="impersonate")
    assert "impersonation-refused" not in tried("pods", "", code=200, impersonatedUser=other)
    assert "impersonation-refused" not in tried("pods", "", user="system:apiserver", impersonatedUser=other)
