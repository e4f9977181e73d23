"""The command lines of the programs: what differs from their defaults, and why."""

from __future__ import annotations

from pathlib import Path

from devcluster.configuration import CONTROLLERS
from devcluster.ports import LOOPBACK

SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
ETCD_SOCKET, _PEER_SOCKET = "etcd:1", "etcd:2"
"""The names of Unix sockets in the folder."""


def etcd(folder: Path) -> list[str]:
    """Alone, and no slower than it has to be: what it stores goes away with the folder."""
    # Unix sockets need no free port and let nobody else in. Before 3.6 etcd takes no path for one, only
    # what looks like host:port, which it uses as a file's name in its working folder. It also insists on
    # advertising an address; as the only member it never dials it.
    nowhere = f"http://{LOOPBACK}:1"
    return [
        "--name=devcluster",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=unix://{ETCD_SOCKET}",
        f"--listen-peer-urls=unix://{_PEER_SOCKET}",
        f"--advertise-client-urls={nowhere}",
        f"--initial-advertise-peer-urls={nowhere}",
        f"--initial-cluster=devcluster={nowhere}",
        "--unsafe-no-fsync",
        "--enable-grpc-gateway=false",
        "--log-level=warn",
    ]


def apiserver(
    folder: Path, port: int, *, controllers: bool, audit_webhook: bool, webhook_client_certificate: bool
) -> list[str]:
    """With the files that are laid out in the folder."""
    flags = [
        f"--etcd-servers=unix://{folder / ETCD_SOCKET}",
        f"--bind-address={LOOPBACK}",
        # Without it, a machine without a default route has no address to advertise.
        f"--advertise-address={LOOPBACK}",
        # Endpoints may not be loopback addresses, so there is nothing to reconcile.
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        f"--tls-cert-file={folder / 'apiserver.crt'}",
        f"--tls-private-key-file={folder / 'apiserver.key'}",
        f"--client-ca-file={folder / 'ca.crt'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'serviceaccount.pub'}",
        f"--service-account-signing-key-file={folder / 'serviceaccount.key'}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=RBAC",
        # Else kube-apiserver itself refuses privileged pods, and any webhook looks as if it worked.
        "--allow-privileged=true",
        f"--audit-policy-file={folder / 'audit-policy.json'}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-mode=blocking",
        "--enable-priority-and-fairness=false",
        "--max-requests-inflight=1000",
        "--max-mutating-requests-inflight=500",
        "--profiling=false",
    ]
    if not controllers:
        flags.append("--disable-admission-plugins=ServiceAccount")
    if audit_webhook:
        flags += [
            f"--audit-webhook-config-file={folder / 'audit-webhook.kubeconfig'}",
            "--audit-webhook-mode=batch",
            "--audit-webhook-batch-max-wait=500ms",
            "--audit-webhook-initial-backoff=1s",
        ]
    if webhook_client_certificate:
        flags.append(f"--admission-control-config-file={folder / 'admission.json'}")
    return flags


def controller_manager(folder: Path) -> list[str]:
    return [
        f"--kubeconfig={folder / 'controller-manager.kubeconfig'}",
        f"--root-ca-file={folder / 'ca.crt'}",
        f"--service-account-private-key-file={folder / 'serviceaccount.key'}",
        "--use-service-account-credentials=true",
        f"--controllers={','.join(CONTROLLERS)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]
