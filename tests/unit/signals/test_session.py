"""What sessions were asked to do."""

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.audit_event import AuditEvent, LinePlace, read_event
from iocaudit.signals.session import Session, connection_options, session_of


def event(uri: str, request: object = None) -> AuditEvent:
    return read_event({"requestURI": uri, "requestObject": request}, LinePlace("x", 1), "native")


def test_options_stand_in_the_address() -> None:
    found = session_of(event("/exec?command=sh&command=-c&command=ls%20%2F&container=app&stdin=true&tty=1"))
    assert found == Session(("sh", "-c", "ls /"), "app", True)


def test_ports_in_either_form() -> None:
    assert session_of(event("/portforward?ports=80,443&ports=9&ports=x&ports=" + "9" * 5000)).ports == (80, 443, 9)


def test_google_logs_the_object() -> None:
    raw = {"apiVersion": "v1", "kind": "PodExecOptions", "command": ["id"], "stdin": True}
    assert session_of(event("", raw)) == Session(("id",), "", True)
    assert "kind" not in connection_options(event("", raw))


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_command_comes_back_whole(argv: list[str]) -> None:
    query = urlencode([("command", one) for one in argv], errors="surrogatepass")
    assert session_of(event(f"/exec?{query}")).command == tuple(argv)


@given(st.text())
def test_any_address_is_read(uri: str) -> None:
    assert isinstance(session_of(event(uri)), Session)
