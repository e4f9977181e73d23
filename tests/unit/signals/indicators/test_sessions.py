"""Sessions: by whom, into what, for what."""

from typing import Any

import pytest

from iocaudit.core.severity import Severity
from iocaudit.signals.audit_event import read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.indicators.sessions import is_opened
from iocaudit.signals.signal import signal_of
from tests.support.detection_samples import PLACE


def session(
    subresource: str, query: str = "", *, user: str = "alice", namespace: str = "shop", code: int = 101, **more: Any
) -> dict[str, Severity]:
    resource = more.pop("resource", "pods")
    raw = {
        "verb": "create",
        "user": {"username": user},
        "objectRef": {"resource": resource, "subresource": subresource, "namespace": namespace, "name": "web"},
        "requestURI": f"/api/v1/namespaces/{namespace}/{resource}/web/{subresource}{query}",
        "responseStatus": {"code": code},
        **more,
    }
    return {one.rule: one.severity for one in Detector().take(signal_of(read_event(raw, PLACE, "native")))}


def test_a_shell_is_medium_and_a_command_of_a_program_low() -> None:
    assert session("exec", "?command=sh&stdin=true&tty=true") == {"session-opened": Severity.MEDIUM}
    assert session("exec", "?command=pg_isready&stdout=true") == {"session-opened": Severity.LOW}


def test_what_was_refused_is_no_session() -> None:
    assert set(session("exec", "?command=sh", code=403)) == {
        "sensitive-request-refused",
        "creation-refused",
        "session-refused",
    }
    assert "session-opened" not in session("exec", "?command=sh", code=500)


@pytest.mark.parametrize("verb", ["get", "create"])
def test_by_either_protocol(verb: str) -> None:
    assert "session-opened" in session("attach", verb=verb)


def test_components_are_quiet() -> None:
    assert session("exec", "?command=sh", user="system:serviceaccount:kube-system:x") == {}


def test_a_pod_of_the_cluster_is_worse() -> None:
    assert session("exec", "?command=ls", namespace="kube-system")["session-in-system-namespace"] is Severity.HIGH
    assert session("portforward", namespace="kube-system")["port-forwarded"] is Severity.MEDIUM


def test_monitoring_reads_the_kubelet_and_others_do_not() -> None:
    monitor = "system:serviceaccount:monitoring:prometheus"
    quiet = session("proxy/metrics", user=monitor)
    assert quiet == {}

    def proxy(path: str, user: str, verb: str) -> dict[str, Severity]:
        uri = f"/api/v1/nodes/worker-1/proxy/{path}"
        ref = {"resource": "nodes", "subresource": "proxy", "name": "worker-1"}
        return session("proxy", user=user, verb=verb, resource="nodes", requestURI=uri, objectRef=ref, code=200)

    assert proxy("metrics/cadvisor", monitor, "get") == {}
    assert proxy("run/shop/web/app", monitor, "create") == {"kubelet-reached-by-proxy": Severity.HIGH}
    assert proxy("stats/summary", "alice", "get") == {"kubelet-reached-by-proxy": Severity.LOW}


def test_the_answer_of_a_proxy_is_the_pods_own() -> None:
    raw = {"objectRef": {"resource": "pods", "subresource": "proxy"}, "responseStatus": {"code": 502}}
    assert is_opened(read_event(raw, PLACE, "native"))
