"""How detections name people and objects."""

from iocaudit.signals.audit_event import AuditEvent, LinePlace, read_event
from iocaudit.signals.wording import account_of, name_of, origin, what, who


def event(**given: object) -> AuditEvent:
    return read_event(dict(given), LinePlace("x", 1), "native")


def test_who() -> None:
    assert who(event(user={"username": "alice"})) == "alice"
    assert who(event(user={"username": "alice"}, impersonatedUser={"username": "bob"})) == "alice (as bob)"
    assert who(event()) == "an unknown user"
    assert len(who(event(user={"username": "x" * 5000}))) <= 100


def test_what() -> None:
    pod = {"resource": "pods", "namespace": "shop", "name": "web"}
    assert what(event(objectRef=pod)) == "Pod shop/web"
    assert what(event(objectRef={"resource": "secrets", "namespace": "shop"})) == "secrets in namespace shop"
    assert what(event(objectRef={"resource": "secrets"})) == "secrets in the whole cluster"
    assert what(event(requestURI="/version?x=1")) == "/version"


def test_a_name_that_the_server_made() -> None:
    assert name_of(event(responseObject={"metadata": {"name": "web-x7k2p"}})) == "web-x7k2p"


def test_nobody_is_told_by_where_the_requests_come_from() -> None:
    one = event(user={"username": "system:anonymous"}, sourceIPs=["198.51.100.7"])
    assert account_of(one) == "system:anonymous@198.51.100.7"
    assert origin(one) == " from 198.51.100.7"
    assert account_of(event(user={"username": "alice"}, sourceIPs=["198.51.100.7"])) == "alice"
