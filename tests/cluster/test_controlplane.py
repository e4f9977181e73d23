"""The control plane itself: what the other cluster tests and the demo rely on."""

import base64
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from devcluster import ports
from devcluster.certificates import Authority
from devcluster.controlplane import ControlPlane
from devcluster.errors import ControlPlaneError, KubectlError

Eventually = Callable[..., None]

ROOT = Path(__file__).parents[2]


def pod(name: str, **container: Any) -> str:
    spec = {"containers": [{"name": "main", "image": "registry.example/app:1", **container}]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def processes_mentioning(text: str) -> list[str]:
    """Command lines of running processes in which ``text`` occurs."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in line:
            lines.append(line)
    return lines


def test_a_privileged_pod_is_accepted_when_no_webhook_objects(control_plane: ControlPlane, namespace: str) -> None:
    manifest = pod("privileged", securityContext={"privileged": True})
    control_plane.kubectl("apply", "-f-", f"-n{namespace}", input=manifest)
    stored = json.loads(control_plane.kubectl("get", "pod/privileged", f"-n{namespace}", "-ojson").stdout)
    assert stored["spec"]["containers"][0]["securityContext"] == {"privileged": True}
    assert stored["status"]["phase"] == "Pending"


def test_a_deployment_leads_to_pods_and_takes_them_with_it(
    control_plane: ControlPlane, namespace: str, eventually: Eventually
) -> None:
    def items(kind: str) -> list[dict[str, Any]]:
        answer = json.loads(control_plane.kubectl("get", kind, f"-n{namespace}", "-ojson").stdout)
        result: list[dict[str, Any]] = answer["items"]
        return result

    control_plane.kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2", f"-n{namespace}")
    eventually(lambda: len(items("pods")) == 2, "two pods")
    assert {item["status"]["phase"] for item in items("pods")} == {"Pending"}
    (replica_set,) = items("replicasets")
    assert replica_set["metadata"]["ownerReferences"][0]["name"] == "web"
    assert {item["metadata"]["ownerReferences"][0]["uid"] for item in items("pods")} == {replica_set["metadata"]["uid"]}
    control_plane.kubectl("delete", "deployment", "web", f"-n{namespace}", "--wait=false")
    eventually(lambda: items("pods") == [], "garbage collection of the pods", seconds=60)


def test_a_namespace_is_deleted_with_its_content(
    control_plane: ControlPlane, namespace: str, eventually: Eventually
) -> None:
    control_plane.kubectl("create", "configmap", "some", f"-n{namespace}")
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
    eventually(
        lambda: control_plane.kubectl("get", "namespace", namespace, check=False).returncode != 0,
        "the namespace to be gone",
        seconds=60,
    )
    control_plane.kubectl("create", "namespace", namespace)


def test_rbac_decides_by_user_and_group(control_plane: ControlPlane, new_namespace: Callable[[], str]) -> None:
    granted, other = new_namespace(), new_namespace()
    jane = control_plane.user_kubeconfig("jane@example.com", ["pod-readers", "others"])
    assert control_plane.user_kubeconfig("jane@example.com", ["pod-readers", "others"]) == jane
    with pytest.raises(KubectlError, match=r'User "jane@example.com" cannot list resource "pods"'):
        control_plane.kubectl("get", "pods", f"-n{granted}", kubeconfig=jane)
    control_plane.kubectl("create", "rolebinding", "r", "--clusterrole=view", "--group=pod-readers", f"-n{granted}")
    control_plane.kubectl("get", "pods", f"-n{granted}", kubeconfig=jane)
    with pytest.raises(KubectlError, match="Forbidden"):
        control_plane.kubectl("get", "pods", f"-n{other}", kubeconfig=jane)
    stranger = control_plane.user_kubeconfig("john@example.com")
    with pytest.raises(KubectlError, match="Forbidden"):
        control_plane.kubectl("get", "pods", f"-n{granted}", kubeconfig=stranger)


def test_a_serviceaccount_acts_under_its_own_name(control_plane: ControlPlane, namespace: str) -> None:
    account = control_plane.serviceaccount_kubeconfig(namespace, "default")
    who = control_plane.kubectl("auth", "whoami", "-ojson", kubeconfig=account)
    assert json.loads(who.stdout)["status"]["userInfo"]["username"] == (f"system:serviceaccount:{namespace}:default")


def test_the_audit_log_has_bodies_of_rbac_objects_and_never_of_secrets(
    control_plane: ControlPlane, namespace: str, eventually: Eventually
) -> None:
    control_plane.kubectl("create", "secret", "generic", "hidden", "--from-literal=key=hunter2", f"-n{namespace}")
    control_plane.kubectl("create", "role", "reader", "--verb=get", "--resource=pods", f"-n{namespace}")

    def creations() -> dict[str, dict[str, Any]]:
        events = [json.loads(line) for line in control_plane.audit_log.read_text("utf-8").splitlines()]
        return {
            event["objectRef"]["resource"]: event
            for event in events
            if event["verb"] == "create" and event.get("objectRef", {}).get("namespace") == namespace
        }

    eventually(lambda: {"secrets", "roles"} <= set(creations()), "the audit events")
    seen = creations()
    assert seen["secrets"]["level"] == "Metadata"
    assert seen["secrets"]["user"]["username"] == "devcluster-admin"
    assert "requestObject" not in seen["secrets"]
    assert seen["roles"]["requestObject"]["rules"][0]["verbs"] == ["get"]
    log = control_plane.audit_log.read_text("utf-8")
    assert "hunter2" not in log
    assert "aHVudGVyMg==" not in log


def test_an_error_of_kubectl_carries_what_it_said(control_plane: ControlPlane) -> None:
    with pytest.raises(KubectlError, match=r'kubectl get nothing: .*resource type "nothing"'):
        control_plane.kubectl("get", "nothing")
    assert control_plane.kubectl("get", "nothing", check=False).returncode == 1


@dataclass
class Receiver:
    """A server on loopback which keeps the bodies it got, and answers admission reviews with a denial."""

    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)


def serve(receiver: Receiver, context: ssl.SSLContext | None) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.bodies.append(body)
            answer: dict[str, Any] = {}
            if body["kind"] == "AdmissionReview":
                certificate: Any = self.request.getpeercert()
                receiver.clients.append(dict(pair[0] for pair in certificate["subject"])["commonName"])
                denial = {"uid": body["request"]["uid"], "allowed": False, "status": {"message": "not here"}}
                answer = {"apiVersion": body["apiVersion"], "kind": "AdmissionReview", "response": denial}
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", receiver.port), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def events() -> Iterator[Receiver]:
    receiver = Receiver()
    server = serve(receiver, None)
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def second(events: Receiver) -> Iterator[ControlPlane]:
    """A second control plane beside the session's, with every option in use."""
    with ControlPlane(
        audit_webhook_url=f"http://127.0.0.1:{events.port}/events",
        webhook_client_certificate=True,
        apiserver_args=["--event-ttl=5m"],
    ) as cluster:
        yield cluster


def test_two_control_planes_run_at_once_and_share_nothing(control_plane: ControlPlane, second: ControlPlane) -> None:
    assert control_plane.url != second.url
    second.kubectl("create", "namespace", "only-in-the-second")
    assert control_plane.kubectl("get", "namespace", "only-in-the-second", check=False).returncode == 1
    stranger = control_plane.user_kubeconfig("admin", ["system:masters"]).read_text("utf-8")
    foreign = second.folder / "foreign.kubeconfig"
    foreign.write_text(stranger.replace(control_plane.url, second.url), encoding="utf-8")
    with pytest.raises(KubectlError, match="certificate signed by unknown authority"):
        second.kubectl("get", "namespaces", kubeconfig=foreign)


def test_only_the_apiserver_goes_away_and_comes_back_on_the_same_port(second: ControlPlane) -> None:
    second.kubectl("create", "configmap", "kept")
    url, others = second.url, second.pids()
    second.stop_apiserver()
    assert second.kubectl("get", "configmap", "kept", check=False).returncode == 1
    second.start_apiserver()
    assert second.url == url
    second.kubectl("get", "configmap", "kept")
    pids = second.pids()
    assert pids.pop("kube-apiserver") != others.pop("kube-apiserver")
    assert pids == others
    second.stop_apiserver(grace=0.0)
    second.start_apiserver()
    second.kubectl("get", "configmap", "kept")


def test_audit_events_are_delivered_to_the_webhook(
    second: ControlPlane, events: Receiver, eventually: Eventually
) -> None:
    second.kubectl("create", "configmap", "noticed")

    def noticed() -> bool:
        items = [item for body in list(events.bodies) for item in body["items"]]
        return any(item.get("objectRef", {}).get("name") == "noticed" for item in items)

    eventually(noticed, "the audit event")
    assert {body["kind"] for body in events.bodies} == {"EventList"}


def test_a_webhook_by_url_sees_the_client_certificate(second: ControlPlane, tmp_path: Path) -> None:
    authority = Authority("webhook")
    pair = authority.serving("webhook", ["127.0.0.1"])
    (tmp_path / "pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    context.load_verify_locations(second.webhook_client_ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = Receiver()
    server = serve(receiver, context)
    ca = base64.b64encode(authority.certificate).decode("ascii")
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    webhook = {
        "name": "deny.example.com",
        "clientConfig": {"url": f"https://127.0.0.1:{receiver.port}/validate", "caBundle": ca},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "deny"},
        "webhooks": [webhook],
    }
    second.kubectl("create", "-f-", input=json.dumps(configuration))
    try:
        with pytest.raises(KubectlError, match=r'webhook "deny.example.com" denied the request: not here'):
            second.kubectl("create", "-f-", input=pod("any"))
    finally:
        second.kubectl("delete", "validatingwebhookconfiguration", "deny")
        server.shutdown()
        server.server_close()
    assert set(receiver.clients) == {"kube-apiserver"}


def test_a_port_grabbed_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as grabber:
        taken = grabber.getsockname()[1]
        offers = iter([taken])
        monkeypatch.setattr("devcluster.controlplane.free_port", lambda: next(offers, None) or ports.free_port())
        with ControlPlane(controllers=False) as cluster:
            assert not cluster.url.endswith(f":{taken}")
            assert "default" in cluster.kubectl("get", "namespaces").stdout


def test_a_failed_start_shows_the_log_and_leaves_nothing() -> None:
    cluster = ControlPlane(apiserver_args=["--no-such-flag"])
    with pytest.raises(ControlPlaneError, match=r"kube-apiserver exited with code 1(.|\n)*no-such-flag"):
        cluster.start()
    assert not cluster.folder.exists()
    assert processes_mentioning(str(cluster.folder)) == []


def test_stop_leaves_nothing_and_start_works_again() -> None:
    cluster = ControlPlane(controllers=False)
    for _ in range(2):
        cluster.start()
        folder = cluster.folder
        assert len(processes_mentioning(str(folder))) == 3  # the supervisor, etcd, kube-apiserver
        cluster.stop()
        assert not folder.exists()
        assert processes_mentioning(str(folder)) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_parent_is_killed(how: signal.Signals, eventually: Eventually) -> None:
    command = [sys.executable, "-m", "devcluster.controlplane"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        folder = Path(parent.stdout.readline().strip()).parent
        assert folder.is_dir()
        assert len(processes_mentioning(str(folder))) == 4
        os.kill(parent.pid, how)
        assert parent.wait(20) == (0 if how != signal.SIGKILL else -signal.SIGKILL)
    eventually(lambda: not folder.exists(), f"{folder} to be removed")
    # What removes it ends a moment later.
    eventually(lambda: processes_mentioning(str(folder)) == [], "the last process to end")
