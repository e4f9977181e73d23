"""What the operator can be told; the command line fills it in."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from iocaudit.core.own_names import ADMISSION, NAMESPACE, OPERATOR
from iocaudit.engine.waivers import LONGEST
from iocaudit.live.engine_options import EngineOptions


def _identity() -> str:
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """``namespace`` is our own: Lease and Secrets live there. Seconds are floats; port 0 takes any free one.

    ``webhook_url`` registers the webhook by URL (a local control plane), else it is registered by
    ``webhook_service``. ``manage_webhook`` False leaves certificates and the webhook configuration alone.
    ``attempts_*`` is where the webhook's replicas post denied attempts.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str = field(default_factory=lambda: os.environ.get("POD_NAMESPACE") or NAMESPACE)
    identity: str = field(default_factory=_identity)
    profile: str = "default"
    period: float = 600.0
    retention: timedelta = timedelta(days=7)
    longest_waiver: timedelta = LONGEST
    lease_name: str = OPERATOR
    lease_duration: float = 15.0
    health_host: str = ""
    health_port: int = 8081
    metrics_host: str = ""
    metrics_port: int = 9090
    attempts_host: str = ""
    attempts_port: int = 8444
    manage_webhook: bool = True
    receivers: bool = False
    """Whether receivers are installed beside: they get a certificate of their own."""
    webhook_service: str = ADMISSION
    webhook_url: str | None = None
    webhook_port: int = 443
    certificate_folder: Path | None = None
    """Where the serving certificate is also written as files, for processes outside a cluster.

    With ``manage_webhook`` False someone else writes tls.crt, tls.key and ca.crt there; without it denied attempts
    are not received then.
    """
    exclude_namespaces: tuple[str, ...] = ()
    """Further namespaces the deny webhook leaves out: the network plugin's."""
    engines: EngineOptions = field(default_factory=EngineOptions)
    log_level: str = "info"
