"""What reports show of programs, connections and requests, whatever they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.shape import Json
from iocaudit.signals.audit_event import read_event
from iocaudit.signals.falco import read_alert
from iocaudit.signals.profiles.activity import activities_of, connection_of, program_of, request_of
from tests.support.detection_samples import ANYTHING, PLACE
from tests.support.profiles import program_alert, request_event

FIELDS = (
    "evt.type", "fd.name", "fd.rip", "fd.sip", "fd.rport", "fd.sport", "fd.rip.name", "proc.exepath", "k8s.ns.name",
    "container.image.repository", "container.image",
)  # fmt: skip


def of(**fields: object) -> tuple[str, int | None] | None:
    found = connection_of(read_alert(program_alert("/x", fields), PLACE))
    return None if found is None else (found.host, found.port)


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"evt.type": "connect", "fd.rip": "198.51.100.7", "fd.rport": 443}, ("198.51.100.7", 443)),
        ({"evt.type": "connect", "fd.sip": "::ffff:10.0.0.1", "fd.sport": "80"}, ("10.0.0.1", 80)),
        ({"evt.type": "connect", "fd.name": "10.0.0.4:41234->198.51.100.7:4444"}, ("198.51.100.7", 4444)),
        ({"evt.type": "sendto", "fd.name": "fd00::4:41234->2001:db8::1:53"}, ("2001:db8::1", 53)),
        ({"evt.type": "connect", "fd.rip": "10.0.0.1", "fd.rip.name": "DB.shop.svc."}, ("db.shop.svc", None)),
        ({"evt.type": "connect", "fd.rip": "127.0.0.1", "fd.rport": 80}, None),
        ({"evt.type": "connect", "fd.name": "/run/app.sock"}, None),
        ({"evt.type": "accept4", "fd.rip": "198.51.100.7", "fd.rport": 443}, None),
        ({"fd.rip": "198.51.100.7"}, None),
    ],
)
def test_where_a_connection_goes(fields: Json, seen: tuple[str, int | None] | None) -> None:
    assert of(**fields) == seen


def test_a_program_is_its_path_never_the_name_that_it_gave_itself() -> None:
    found = program_of(read_alert(program_alert("/tmp/x", {"proc.name": "nginx"}), PLACE))
    assert found is not None
    assert found.path == "/tmp/x"
    assert (
        program_of(read_alert(program_alert("", {"proc.name": "nginx", "proc.exe": "/usr/bin/nginx"}), PLACE)) is None
    )


@pytest.mark.parametrize(
    "raw",
    [
        request_event(1, user="system:kube-controller-manager"),
        request_event(1, user="system:serviceaccount:kube-system:job-controller"),
        request_event(1, user="system:node:worker-1"),
        request_event(1, namespace=""),
        {**request_event(1), "stage": "RequestReceived"},
        {**request_event(1), "requestURI": "/api/v1/namespaces/shop/configmaps/x?dryRun=All"},
    ],
)
def test_the_cluster_itself_and_what_was_not_done_are_left_out(raw: Json) -> None:
    assert request_of(read_event(raw, PLACE, "native")) is None


def test_a_request_is_named_with_its_group_and_subresource() -> None:
    raw = request_event(1, resource="deployments", apiGroup="apps", subresource="scale")
    found = request_of(read_event(raw, PLACE, "native"))
    assert found is not None
    assert found.whole == "deployments.apps/scale"


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING | st.text()))
def test_whatever_an_alert_holds_it_never_fails(fields: Json) -> None:
    for one in activities_of(read_alert({**program_alert("/x"), "output_fields": fields}, PLACE)):
        assert one.namespace
