"""What is found on objects as a real API server stores them."""

from devcluster.controlplane import ControlPlane
from iocaudit.cli.live import scan_cluster
from iocaudit.core.report import ReportedHit, findings_of
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.records.finding import finding_body, finding_content
from iocaudit.scanning.scan import ScanOptions
from tests.cluster.processes import apply, pod


def found_in(cluster: ControlPlane, namespace: str, *checks: str) -> list[ReportedHit]:
    scan = scan_cluster(builtin_catalogue().select(checks), ScanOptions(), kubeconfig=cluster.kubeconfig)
    return [one for one in scan.report.found if one.subject.namespace == namespace]


def test_a_read_only_mount_of_what_is_the_node_is_critical(control_plane: ControlPlane, namespace: str) -> None:
    paths = {"private": "/run/systemd/private", "bus": "/var/run/dbus", "cron": "/etc/cron.daily", "root": "/sysroot"}
    mounts = [{"name": name, "mountPath": f"/host/{name}", "readOnly": True} for name in paths]
    containers = [{"name": "app", "image": "hooli.com/shop/web:1.4", "volumeMounts": mounts}]
    volumes = [{"name": name, "hostPath": {"path": path}} for name, path in paths.items()]
    apply(control_plane, pod(namespace, "web", containers=containers, volumes=volumes))
    hits = found_in(control_plane, namespace, "runtime-socket-mount", "sensitive-host-path")
    assert {hit.severity for hit in hits} == {Severity.CRITICAL}
    by_check = {
        check: {hit.hit.evidence for hit in hits if hit.check == check} for check in {hit.check for hit in hits}
    }
    assert by_check["runtime-socket-mount"] == {"/run/systemd/private", "/run/dbus"}
    assert by_check["sensitive-host-path"] == {"/run/systemd/private", "/run/dbus", "/etc/cron.daily", "/sysroot"}


def test_a_snippets_password_stays_in_the_ingress(control_plane: ControlPlane, namespace: str) -> None:
    snippet = 'proxy_set_header Authorization "Basic YTpodW50ZXIy";\nproxy_set_header X-Api-Key "0f1e2d3c4b5a";'
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "web",
            "namespace": namespace,
            "annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": snippet},
        },
        "spec": {"ingressClassName": "nginx", "defaultBackend": backend},
    }
    apply(control_plane, ingress)
    hits = found_in(control_plane, namespace, "ingress-snippet")
    (finding,) = findings_of(hits)
    stored = str(finding_body(namespace, finding.name, finding_content(finding, "a title")))
    assert "configuration-snippet" in stored
    assert [secret for secret in ("YTpodW50ZXIy", "0f1e2d3c4b5a") if secret in stored] == []
