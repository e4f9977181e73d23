"""Miners that sessions start."""

from tests.support.detection_samples import seen


def fires(*command: str) -> set[str]:
    raw = {
        "verb": "create",
        "user": {"username": "alice"},
        "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"},
        "requestObject": {"command": list(command)},
        "responseStatus": {"code": 101},
    }
    return {*seen(raw)}


def test_by_name_and_by_protocol() -> None:
    assert "miner-in-session" in fires("/tmp/.x/xmrig")
    assert "miner-in-session" in fires("sh", "-c", "./a -o stratum+tcp://pool.example.com:3333")


def test_competitors() -> None:
    assert "competitors-killed-in-session" in fires("sh", "-c", "pkill -9 xmrig")
    assert "competitors-killed-in-session" not in fires("kill", "-TERM", "7")
