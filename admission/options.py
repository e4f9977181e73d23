"""What the webhook is told at start."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from iocaudit.core import own_names
from iocaudit.engine.waivers import LONGEST
from iocaudit.live.engine_options import EngineOptions


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """``host`` empty means every interface; port 0 any free one. ``certificates`` holds tls.crt and tls.key."""

    certificates: Path
    host: str = ""
    port: int = 8443
    health_port: int = 8081
    metrics_port: int = 9090
    client_ca: Path | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    drain_seconds: float = 10.0
    profile: str = "default"
    attempts_url: str | None = None
    """``https://host:port`` of the operator's receiver of denied attempts; without it none are posted."""
    longest_waiver: timedelta = LONGEST
    namespace: str = own_names.NAMESPACE
    """Where this auditor is installed: its own RBAC objects are known there, and ConfigMaps with rules are read."""
    engines: EngineOptions = field(default_factory=EngineOptions)
